//! `src/remote/wire.rs` is made from `proto/rpc.proto`. After a change:
//! `WRITE_WIRE=1 cargo test -p doorbell-rpc --test wire`.

use std::path::Path;

#[test]
fn the_generated_file_is_the_one_that_the_proto_file_makes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = root.join("src/remote/wire.rs");
    let made = std::env::temp_dir().join(format!("doorbell-wire-{}", std::process::id()));
    std::fs::create_dir_all(&made).unwrap();

    let files = protox::compile(["rpc.proto"], [root.join("proto")]).unwrap();
    let builder = tonic_prost_build::configure().build_transport(false).bytes(".").out_dir(&made);
    builder.compile_fds(files).unwrap();
    let text = std::fs::read_to_string(made.join("doorbell.rpc.v1.rs")).unwrap();
    std::fs::remove_dir_all(&made).unwrap();

    if std::env::var_os("WRITE_WIRE").is_some() {
        std::fs::write(&committed, &text).unwrap();
    }
    let same = std::fs::read_to_string(&committed).unwrap_or_default() == text;
    assert!(same, "src/remote/wire.rs is stale: WRITE_WIRE=1 cargo test -p doorbell-rpc --test wire");
}
