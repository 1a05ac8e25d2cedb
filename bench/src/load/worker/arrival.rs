//! When bytes came: the kernel notes it as they come (`SO_TIMESTAMPNS`, socket(7)). How long they lie there, until this process has
//! time to read them, is time of the tool and not of the server; see Kogias et al., "Lancet: A self-correcting Latency Measuring Tool"
//! (USENIX ATC 2019).

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;
use nix::time::ClockId;

use crate::load::clock::{self, Moment};

/// An age beyond this, in microseconds, is none: the time of day was set meanwhile.
const AGE_MAX_US: u64 = 60_000_000;

/// Room for one moment, a header and a `timespec` of 32 bytes, where a header may lie (cmsg(3)).
#[repr(align(8))]
struct Control([u8; 64]);

/// From now on the kernel notes when bytes come.
///
/// # Errors
/// It does not know how.
pub fn note(socket: &impl AsFd) -> io::Result<()> {
    Ok(setsockopt(socket, ReceiveTimestampns, &true)?)
}

/// Reads what is there, and when the last of it came.
///
/// # Errors
/// Those of a read; [`io::ErrorKind::WouldBlock`] where nothing is there.
pub fn read(stream: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<(usize, Moment)> {
    let (mut control, mut into) = (Control([0; 64]), [IoSliceMut::new(buffer)]);
    let flags = MsgFlags::empty();
    let read = recvmsg::<()>(stream.as_raw_fd(), &mut into, Some(&mut control.0), flags)?;
    let noted = read.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(at) => Some(at),
        _ => None,
    });
    // The kernel begins to note with the first socket that asks for it, some packets later.
    Ok((read.bytes, noted.map_or_else(clock::now, moment)))
}

/// The same on the clock that all processes of the tool share. The kernel notes the time of day, which may be set meanwhile.
fn moment(noted: TimeSpec) -> Moment {
    let age = ClockId::CLOCK_REALTIME.now().map_or(0, |now| micros(now).saturating_sub(micros(noted)));
    clock::now().saturating_sub(if age > AGE_MAX_US { 0 } else { age })
}

fn micros(time: TimeSpec) -> u64 {
    time.tv_sec().unsigned_abs() * 1_000_000 + time.tv_nsec().unsigned_abs() / 1_000
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_lies_there_for_a_while_came_before() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut other, _) = listener.accept().unwrap();
        note(&stream).unwrap();
        let mut buffer = [0; 100];
        // Until the kernel notes.
        let mut began = 0;
        for _ in 0..1_000 {
            began = clock::now();
            other.write_all(b"ring").unwrap();
            let sent = clock::now();
            while clock::now() < sent + 5_000 {}
            let (bytes, came) = read(&stream, &mut buffer).unwrap();
            assert_eq!(&buffer[..bytes], b"ring");
            if came <= sent + 2_000 {
                assert!(came + 2_000 >= began, "{came} {began}");
                return;
            }
        }
        panic!("never noted: {began}");
    }

    #[test]
    fn nothing_there_and_the_end_are_told_as_by_a_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (other, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut buffer = [0; 100];
        assert_eq!(read(&stream, &mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);

        drop(other);

        stream.set_nonblocking(false).unwrap();
        assert_eq!(read(&stream, &mut buffer).unwrap().0, 0);
    }
}
