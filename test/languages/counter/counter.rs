// Adds one to a counter that all nodes share, as many times as it is told, and prints what it saw last.
use std::sync::atomic::{AtomicU32, Ordering};

fn main() {
    let times: u32 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1);
    let ds = odonata::Dataspace::open("tally", 16384, odonata::OPEN_CREATE).expect("open");
    let at = ds.map_whole(odonata::READ_WRITE).expect("map") as *const AtomicU32;
    let counter = unsafe { &*at };
    for _ in 0..times {
        // Go and C add under this lock, too.
        assert_eq!(unsafe { odonata::lock(ds.id, 0, 3, odonata::LOCK_EXCLUSIVE, -1) }, odonata::OK);
        counter.store(counter.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
        assert_eq!(unsafe { odonata::unlock(ds.id, 0, 3) }, odonata::OK);
    }
    println!("{}", counter.load(Ordering::SeqCst));
}
