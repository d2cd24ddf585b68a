# Sets zig: ZIG, or that of the wheel ziglang, whose folder has the sources of its C libraries. build.sh and cc.sh read it.
zig=${ZIG:-$(python3 -c 'import os, ziglang; print(os.path.join(os.path.dirname(ziglang.__file__), "zig"))' 2>/dev/null || true)}
[ -x "$zig" ] && [ -d "$(dirname "$zig")/lib/libc/wasi" ] || {
  echo "$(basename "$0"): no Zig with its libraries${zig:+ at $zig}. Install it: python3 -m pip install --target zig ziglang==0.13.0; export PYTHONPATH=$PWD/zig; or set ZIG to the path of one" >&2
  exit 1
}
