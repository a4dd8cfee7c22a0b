"""An API that does what its document says: `openapi.json` beside this file, written by hand."""
