/// Grows linear memory by at least `bytes` and gives the new, page-aligned and never touched range; null when memory cannot
/// grow so far. It is never given back: reserve once, map and unmap within.
pub fn reserve(bytes: usize) -> *mut u8 {
    let before = core::arch::wasm32::memory_grow(0, (bytes + 65535) / 65536);
    if before == usize::MAX {
        core::ptr::null_mut()
    } else {
        (before * 65536) as *mut u8
    }
}

impl Dataspace {
    /// Opens or creates the dataspace `name`; size 0 takes one that exists as it is. An error is an errno of WASI.
    pub fn open(name: &str, size: u64, flags: i32) -> Result<Dataspace, i32> {
        let mut opened = Dataspace::default();
        match unsafe { ds_open(name.as_ptr(), name.len() as u32, size, flags, &mut opened) } {
            OK => Ok(opened),
            errno => Err(errno),
        }
    }

    /// Reserves memory for all of it and maps it there.
    pub fn map_whole(&self, protection: i32) -> Result<*mut u8, i32> {
        let bytes = (self.size_bytes as usize + PAGE - 1) / PAGE * PAGE;
        let at = reserve(bytes);
        if at.is_null() {
            return Err(ENOMEM);
        }
        match unsafe { ds_map(self.id, at, bytes as u32, 0, protection) } {
            OK => Ok(at),
            errno => Err(errno),
        }
    }
}

/// Connects to HOST:PORT. A descriptor, for `std::os::fd::FromRawFd`; an error is an errno of WASI.
pub fn connect_to(address: &str) -> Result<u32, i32> {
    let mut fd = 0;
    match unsafe { connect(address.as_ptr(), address.len() as u32, &mut fd) } {
        OK => Ok(fd),
        errno => Err(errno),
    }
}

/// Listens by a name. A descriptor, for `from_raw_fd` of `std::net::TcpListener`; an error is an errno of WASI.
pub fn listen_on(name: &str, backlog: u32, flags: i32) -> Result<u32, i32> {
    let mut fd = 0;
    match unsafe { listen(name.as_ptr(), name.len() as u32, backlog, flags, &mut fd) } {
        OK => Ok(fd),
        errno => Err(errno),
    }
}

/// Connects to whoever listens by a name, within so many milliseconds. A descriptor, for `TcpStream`.
pub fn connect_to_name(name: &str, timeout_ms: u32) -> Result<u32, i32> {
    let mut fd = 0;
    match unsafe { connect_name(name.as_ptr(), name.len() as u32, timeout_ms, &mut fd) } {
        OK => Ok(fd),
        errno => Err(errno),
    }
}
