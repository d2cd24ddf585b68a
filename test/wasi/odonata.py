"""Runtime adapter of wasi-testsuite (github.com/WebAssembly/wasi-testsuite) for a running cluster: see README.md here."""
import os
import subprocess
from pathlib import Path
from typing import Dict, List, Optional, Tuple

VKCTL = os.getenv("VKCTL", str(Path(__file__).resolve().parents[2] / "vkctl"))


def get_name() -> str:
    return "odonata"


def get_version() -> str:
    # The commit and the wire version stand behind it.
    return subprocess.run([VKCTL, "--version"], encoding="UTF-8", capture_output=True, check=True).stdout.split()[0]


def get_wasi_versions() -> List[str]:
    return ["wasm32-wasip1"]


def get_wasi_worlds() -> List[str]:
    return ["wasi:cli/command"]


def compute_argv(test_path: str,
                 args_env_root: Tuple[List[str], Dict[str, str], Optional[str]],
                 proposals: List[str],
                 wasi_world: str,
                 wasi_version: str) -> List[str]:
    args, env, root = args_env_root
    argv = [VKCTL, "run", "--bare"]
    for name, value in env.items():
        argv += ["--env", f"{name}={value}"]
    if root:
        argv += ["--dir", f"{Path(root).resolve()}:/"]
    return argv + [test_path] + args
