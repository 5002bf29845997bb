//! The main job, with no network and nothing installed: serves a folder of a few hundred files on loopback, fetches
//! it with the real program, and compares every byte.
//!
//! `cargo run --release --example demo`

use std::fs;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Small files from nothing to a few tens of KiB, then some that a bar can be seen of.
const SMALL: usize = 360;
const LARGE: [usize; 4] = [1 << 20, 3 << 20, 8 << 20, 24 << 20];

/// The folder that is served: names and contents, in memory.
struct Folder {
    files: Vec<(String, Vec<u8>)>,
}

fn main() -> ExitCode {
    match run() {
        Ok(closing) => {
            println!("{closing}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String> {
    let program = program()?;
    let folder = Arc::new(Folder::new());
    let address = serve(Arc::clone(&folder))?;
    let scratch = Scratch::new()?;
    let list = scratch.0.join("urls.txt");
    let downloads = scratch.0.join("downloads");
    folder.write_list(address, &list)?;

    println!("serving {} files on http://{address}/", folder.files.len());
    println!("$ gannet -i urls.txt -d downloads -j 16");
    let start = Instant::now();
    let mut gannet = Command::new(&program);
    gannet
        .arg("-i")
        .arg(&list)
        .arg("-d")
        .arg(&downloads)
        .args(["-j", "16", "--no-config"]);
    let status = gannet
        .status()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let taken = start.elapsed().as_secs_f64();
    if !status.success() {
        return Err(format!("gannet ended with {status}").into());
    }
    let bytes = folder.verify(&downloads)?;
    let files = folder.files.len();
    let mib = bytes as f64 / f64::from(1 << 20);
    Ok(format!(
        "demo: {files} files, {mib:.1} MiB in {taken:.2} s, every byte verified"
    ))
}

/// Builds the program as this example was built, which does nothing if it is fresh, and says where it is.
fn program() -> Result<PathBuf> {
    let example = std::env::current_exe()?;
    let profile = example
        .parent()
        .and_then(Path::parent)
        .ok_or("the example is not in a target folder")?;
    let target = profile
        .parent()
        .ok_or("the example is not in a target folder")?;
    let program = profile.join(format!("gannet{}", std::env::consts::EXE_SUFFIX));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--bin", "gannet", "--manifest-path"]);
    build.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    build.arg("--target-dir").arg(target);
    if profile.ends_with("release") {
        build.arg("--release");
    }
    if !program.exists() {
        println!("building gannet ...");
    }
    match build.status() {
        Ok(status) if !status.success() => {
            Err(format!("building gannet ended with {status}").into())
        }
        Err(error) if !program.exists() => Err(format!("cannot run cargo: {error}").into()),
        _ if program.exists() => Ok(program),
        _ => Err(format!("{} was not built", program.display()).into()),
    }
}

/// A folder of this process's own that goes when it does.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("gannet-demo-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("demo: {}: {error}", self.0.display());
        }
    }
}

impl Folder {
    /// Made-up contents, the same in every run.
    fn new() -> Self {
        let small = (0..SMALL).map(|n| (format!("part-{n:03}.bin"), n * n % 40_009));
        let large = LARGE
            .iter()
            .enumerate()
            .map(|(n, size)| (format!("image-{n}.iso"), *size));
        // The large ones first, so that their bars stand while the small ones pass.
        let files = large.chain(small).enumerate();
        Self {
            files: files
                .map(|(n, (name, size))| (name, contents(n as u64 + 1, size)))
                .collect(),
        }
    }

    fn write_list(&self, address: SocketAddr, list: &Path) -> io::Result<()> {
        let mut out = BufWriter::new(fs::File::create(list)?);
        for (name, _) in &self.files {
            writeln!(out, "http://{address}/files/{name}")?;
        }
        out.flush()
    }

    /// Compares every file with what was served, and that there is nothing else; gives the bytes.
    fn verify(&self, downloads: &Path) -> Result<u64> {
        let mut bytes = 0;
        for (name, contents) in &self.files {
            let path = downloads.join(name);
            let found = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            if found != *contents {
                return Err(format!("{name} differs from what was served").into());
            }
            bytes += found.len() as u64;
        }
        let found = fs::read_dir(downloads)?.count();
        if found != self.files.len() {
            return Err(format!("{found} files where {} were expected", self.files.len()).into());
        }
        Ok(bytes)
    }
}

/// Bytes without a pattern that a lost or doubled block would hide in (xorshift).
fn contents(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// Starts an HTTP/1.1 server with keep-alive on a free port of the loopback interface, a thread a connection.
fn serve(folder: Arc<Folder>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let folder = Arc::clone(&folder);
            // A connection that breaks is the client's to report.
            thread::spawn(move || answer_all(&stream, &folder));
        }
    });
    Ok(address)
}

fn answer_all(stream: &TcpStream, folder: &Folder) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut requests = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if requests.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default();
        let name = path.strip_prefix("/files/").unwrap_or_default();
        let file = folder.files.iter().find(|(known, _)| known == name);
        let is_head = line.starts_with("HEAD ");
        while line.trim_end() != "" {
            line.clear();
            requests.read_line(&mut line)?;
        }
        answer(
            stream,
            file.map(|(_, contents)| contents.as_slice()),
            is_head,
        )?;
    }
}

fn answer(mut stream: &TcpStream, contents: Option<&[u8]>, is_head: bool) -> io::Result<()> {
    let status = if contents.is_some() {
        "200 OK"
    } else {
        "404 Not Found"
    };
    let contents = contents.unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
        contents.len()
    );
    stream.write_all(head.as_bytes())?;
    if is_head {
        return Ok(());
    }
    // In pieces with a pause between, so that there is something to see.
    for piece in contents.chunks(256 << 10) {
        stream.write_all(piece)?;
        if contents.len() > 256 << 10 {
            thread::sleep(std::time::Duration::from_millis(15));
        }
    }
    Ok(())
}
