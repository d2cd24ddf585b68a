;; Copies between its standard streams and a file. Its arguments: get or put, and an absolute path. Its exit code is an errno.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  ;; 0 a slice, 8 a result, 16 pointers of arguments, 1024 arguments, 65536 bytes
  (memory (export "memory") 2)
  (func $expect (param $errno i32)
    (if (local.get $errno) (then (call $exit (local.get $errno)))))
  (func (export "_start") (local $path i32) (local $length i32) (local $puts i32) (local $from i32) (local $to i32) (local $root i32)
    (call $expect (call $sizes (i32.const 0) (i32.const 4)))
    ;; A path has some 4,000 bytes at most.
    (if (i32.or (i32.ne (i32.load (i32.const 0)) (i32.const 3)) (i32.gt_u (i32.load (i32.const 4)) (i32.const 60000)))
      (then (call $exit (i32.const 28))))
    (call $expect (call $args (i32.const 16) (i32.const 1024)))
    (local.set $puts (i32.eq (i32.load8_u (i32.load (i32.const 20))) (i32.const 112)))
    ;; From "/" on: of what it begins with the one whose name has one byte.
    (local.set $root (i32.const 2))
    (loop $look
      (local.set $root (i32.add (local.get $root) (i32.const 1)))
      (call $expect (call $prestat (local.get $root) (i32.const 8)))
      (br_if $look (i32.ne (i32.load (i32.const 12)) (i32.const 1))))
    (local.set $path (i32.add (i32.load (i32.const 24)) (i32.const 1)))
    (block $counted (loop $count
      (br_if $counted (i32.eqz (i32.load8_u (i32.add (local.get $path) (local.get $length)))))
      (local.set $length (i32.add (local.get $length) (i32.const 1)))
      (br $count)))
    (call $expect (call $open (local.get $root) (i32.const 1) (local.get $path) (local.get $length)
      (select (i32.const 9) (i32.const 0) (local.get $puts))
      (select (i64.const 0x40) (i64.const 0x2) (local.get $puts)) (i64.const 0) (i32.const 0) (i32.const 8)))
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
