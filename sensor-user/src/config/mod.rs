//! Typed configuration: file, environment and flags become one [`Config`]; all mistakes are reported together.
