// Exit code 0 when node_modules is what package-lock.json says, so that `npm ci` would change nothing.
// npm keeps the lock of what it installed in node_modules/.package-lock.json.
import { readFileSync } from 'node:fs';

const packagesOf = (file) => JSON.parse(readFileSync(file, 'utf8')).packages;

function isInstalled() {
  let installed;
  try {
    installed = packagesOf('node_modules/.package-lock.json');
  } catch {
    return false;
  }
  const wanted = packagesOf('package-lock.json');
  return Object.entries(wanted).every(([path, entry]) => {
    if (!path.startsWith('node_modules/')) return true; // The workspaces themselves.
    const there = installed[path];
    // Optional: the binaries of other platforms.
    if (!there) return entry.optional === true;
    return there.version === entry.version && there.resolved === entry.resolved;
  });
}

process.exit(isInstalled() ? 0 : 1);
