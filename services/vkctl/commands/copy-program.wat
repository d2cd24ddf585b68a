;; Copies between its standard streams and a file. Its arguments: get or put, and an absolute path. Its exit code is an errno. A file that
;; it made is removed where it cannot be written whole; of one that was there before, which is cut off then, the errno is more by 100.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  ;; 0 a slice, 8 a result, 16 pointers of arguments, 1024 arguments, 65536 bytes
  (memory (export "memory") 2)
  (global $path (mut i32) (i32.const 0))
  (global $length (mut i32) (i32.const 0))
  (global $root (mut i32) (i32.const 2))
  ;; 1: it made the file; 2: it was there, and is cut off
  (global $wrote (mut i32) (i32.const 0))
  (func $expect (param $errno i32)
    (if (i32.eqz (local.get $errno)) (then (return)))
    (if (i32.eq (global.get $wrote) (i32.const 1))
      (then (drop (call $unlink (global.get $root) (global.get $path) (global.get $length)))))
    (call $exit (i32.add (local.get $errno)
      (select (i32.const 100) (i32.const 0) (i32.eq (global.get $wrote) (i32.const 2))))))
  (func $open_it (param $oflags i32) (param $rights i64) (result i32)
    (call $open (global.get $root) (i32.const 1) (global.get $path) (global.get $length)
      (local.get $oflags) (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 8)))
  (func (export "_start") (local $puts i32) (local $from i32) (local $to i32) (local $errno i32)
    (call $expect (call $sizes (i32.const 0) (i32.const 4)))
    ;; A path has some 4,000 bytes at most.
    (if (i32.or (i32.ne (i32.load (i32.const 0)) (i32.const 3)) (i32.gt_u (i32.load (i32.const 4)) (i32.const 60000)))
      (then (call $exit (i32.const 28))))
    (call $expect (call $args (i32.const 16) (i32.const 1024)))
    (local.set $puts (i32.eq (i32.load8_u (i32.load (i32.const 20))) (i32.const 112)))
    ;; From "/" on: of what it begins with the one whose name has one byte.
    (loop $look
      (global.set $root (i32.add (global.get $root) (i32.const 1)))
      (call $expect (call $prestat (global.get $root) (i32.const 8)))
      (br_if $look (i32.ne (i32.load (i32.const 12)) (i32.const 1))))
    (global.set $path (i32.add (i32.load (i32.const 24)) (i32.const 1)))
    (block $counted (loop $count
      (br_if $counted (i32.eqz (i32.load8_u (i32.add (global.get $path) (global.get $length)))))
      (global.set $length (i32.add (global.get $length) (i32.const 1)))
      (br $count)))
    (if (local.get $puts)
      (then
        ;; Anew; where it is there, over it.
        (local.set $errno (call $open_it (i32.const 5) (i64.const 0x40)))
        (if (i32.eq (local.get $errno) (i32.const 20))
          (then
            (call $expect (call $open_it (i32.const 9) (i64.const 0x40)))
            (global.set $wrote (i32.const 2)))
          (else
            (call $expect (local.get $errno))
            (global.set $wrote (i32.const 1)))))
      (else (call $expect (call $open_it (i32.const 0) (i64.const 0x2)))))
    (local.set $to (select (i32.load (i32.const 8)) (i32.const 1) (local.get $puts)))
    (local.set $from (select (i32.const 0) (i32.load (i32.const 8)) (local.get $puts)))
    (block $all (loop $next
      (i32.store (i32.const 0) (i32.const 65536))
      (i32.store (i32.const 4) (i32.const 65536))
      (call $expect (call $read (local.get $from) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br_if $all (i32.eqz (i32.load (i32.const 8))))
      (i32.store (i32.const 4) (i32.load (i32.const 8)))
      (loop $rest
        (call $expect (call $write (local.get $to) (i32.const 0) (i32.const 1) (i32.const 8)))
        (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.load (i32.const 8))))
        (i32.store (i32.const 4) (i32.sub (i32.load (i32.const 4)) (i32.load (i32.const 8))))
        (br_if $rest (i32.load (i32.const 4))))
      (br $next)))
    ;; A file of /shared is made here.
    (call $expect (call $close (select (local.get $to) (local.get $from) (local.get $puts))))))
