//! The project's commands, one file each.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "these programs talk to the person who typed them"
)]

mod bench_pipeline;
mod bench_sites;
mod bless;
mod check_deploy;
mod conformance;
mod coverage;
mod demo;
mod evaluate_authorization;
mod evaluate_templates;
mod kube_apiserver;
mod layers;
mod lint_kernel;
mod overhead;
mod package;
mod privileges;
mod run;
mod sensor;
mod setup;
mod shell;
mod test;
#[cfg(test)]
mod threats;
mod vm;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Builds, runs, tests and measures api-sensor.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the sensor, with everything the build needs, and start it on this host.
    Run(run::Arguments),
    /// Run every test, the live kernel ones included, and count what was skipped.
    Test(test::Arguments),
    /// Watch a small HTTPS API and its clients for some seconds and show what is found.
    Demo(demo::Arguments),
    /// Write the golden files of replay anew; review the difference.
    Bless,
    /// Check what deploy/ holds: manifests, chart, unit, configuration and capabilities.
    CheckDeploy(check_deploy::Arguments),
    /// Write man pages and completions of bash, zsh and fish into target/package.
    Man,
    /// Build Debian's package in target/package and check it.
    Deb(package::Arguments),
    /// Check who uses whom against the table of docs/ARCHITECTURE.md.
    Layers,
    /// Run clippy over the kernel crate.
    LintKernel,
    /// Measure the user-side pipeline on one core against its floor.
    BenchPipeline(bench_pipeline::Arguments),
    /// Run the third-party suites and count what passed.
    Conformance(conformance::Arguments),
    /// Measure what the rules find, miss and make up in a simulated estate of a million exchanges.
    EvaluateAuthorization(evaluate_authorization::Arguments),
    /// Build a real API server of Kubernetes, once, and run the watch on pods against it.
    KubeApiserver,
    /// Compare templates learnt from traffic with the descriptions it was made from.
    EvaluateTemplates(evaluate_templates::Arguments),
    /// Measure of which programs every byte is seen and write docs/COVERAGE.md.
    Coverage,
    /// Measure what one TLS write and read cost by where the probes stand.
    BenchSites(bench_sites::Arguments),
    /// Run the tests that matter on other kernels there, under emulation.
    Vm(vm::Arguments),
    /// Measure which capabilities the sensor needs on each kernel and write docs/PRIVILEGES.md.
    Privileges(privileges::Arguments),
    /// Measure what nginx loses under the sensor.
    BenchOverhead(overhead::Arguments),
}

fn main() -> ExitCode {
    match perform(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<()> {
    match task {
        Task::Run(arguments) => run::run(arguments),
        Task::Test(arguments) => test::test(&arguments),
        Task::Demo(arguments) => demo::demo(&arguments),
        Task::Bless => bless::bless(),
        Task::CheckDeploy(arguments) => check_deploy::check_deploy(&arguments),
        Task::Man => package::man(),
        Task::Deb(arguments) => package::deb(&arguments),
        Task::Layers => layers::layers(),
        Task::LintKernel => lint_kernel::lint_kernel(),
        Task::Vm(arguments) => vm::vm(&arguments),
        Task::Privileges(arguments) => privileges::privileges(&arguments),
        Task::BenchPipeline(arguments) => bench_pipeline::bench_pipeline(&arguments),
        Task::Conformance(arguments) => conformance::conformance(&arguments),
        Task::EvaluateAuthorization(arguments) => evaluate_authorization::evaluate_authorization(&arguments),
        Task::EvaluateTemplates(arguments) => evaluate_templates::evaluate_templates(&arguments),
        Task::KubeApiserver => kube_apiserver::kube_apiserver(),
        Task::Coverage => coverage::coverage(),
        Task::BenchSites(arguments) => bench_sites::bench_sites(&arguments),
        Task::BenchOverhead(arguments) => overhead::bench_overhead(&arguments),
    }
}
