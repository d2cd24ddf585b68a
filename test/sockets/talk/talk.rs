//! talk: a service by a name, in Rust, with its own library of sockets. A request is a line, and so is its reply.
//!
//!     talk serve NAME     replies to each line with `Rust: ` and the line; one connection after another
//!     talk ask NAME TEXT  prints the reply to TEXT
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::wasi::io::{FromRawFd, RawFd};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let name = &args[2];
    if args[1] == "serve" {
        let fd = odonata::listen_on(name, 128, 0).expect("listen");
        let listener = unsafe { TcpListener::from_raw_fd(fd as RawFd) };
        println!("listening");
        loop {
            let (connection, _) = listener.accept().expect("accept");
            let mut answers = &connection;
            for line in BufReader::new(&connection).lines() {
                match line {
                    Ok(line) if writeln!(answers, "Rust: {line}").is_ok() => {}
                    _ => break,
                }
            }
        }
    }
    let fd = odonata::connect_to_name(name, 5000).expect("connect");
    let mut connection = unsafe { TcpStream::from_raw_fd(fd as RawFd) };
    writeln!(connection, "{}", args[3]).expect("send");
    let mut reply = String::new();
    BufReader::new(connection).read_line(&mut reply).expect("receive");
    print!("{reply}");
}
