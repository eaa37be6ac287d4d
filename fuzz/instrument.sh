#!/bin/sh
# Stands before rustc for the crates of this workspace (RUSTC_WORKSPACE_WRAPPER): adds
# what libFuzzer follows, and the hooks that only it sees. Build scripts run without its
# runtime, so they stay as they are.
for argument in "$@"; do
    case $argument in
        build_script_build | proc-macro) exec "$@" ;;
        ___ | -vV) exec "$@" ;;
    esac
done
exec "$@" --cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cdebug-assertions=on
