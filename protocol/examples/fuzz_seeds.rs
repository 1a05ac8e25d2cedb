//! Writes each golden vector as a file of its own into a folder: seeds for the fuzz target, see `fuzz/Cargo.toml`.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

const FILES: [&str; 4] = [
    include_str!("../vectors/client-frames.json"),
    include_str!("../vectors/server-frames.json"),
    include_str!("../vectors/variants.json"),
    include_str!("../vectors/invalid.json"),
];

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).expect("usage: fuzz_seeds FOLDER"));
    fs::create_dir_all(&folder)?;
    let mut seeds = 0;
    for file in FILES {
        for vector in serde_json::from_str::<Vec<Value>>(file)? {
            let json = vector["json"].as_str().map(|text| text.as_bytes().to_vec());
            for bytes in json.into_iter().chain(vector["msgpack"].as_str().map(unhex)) {
                fs::write(folder.join(format!("vector-{seeds:03}")), bytes)?;
                seeds += 1;
            }
        }
    }
    println!("{seeds} seeds in {}", folder.display());
    Ok(())
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("a vector holds hexadecimal digits");
    (0..text.len()).step_by(2).map(byte).collect()
}
