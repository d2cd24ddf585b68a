/** Of a command in the table and the record: enough to know it by. Its process has it whole. */
const COMMAND_BYTES = 1024;

/** The words of a command, cut where they are long together; what is cut ends in an ellipsis. */
export function shortenedCommand(command: readonly string[]): string[] {
  const kept: string[] = [];
  let left = COMMAND_BYTES;
  for (const word of command) {
    if (left <= 0) return [...kept, '…'];
    kept.push(word.length > left ? `${word.slice(0, left)}…` : word);
    // The space after it counts: empty words must not be free.
    left -= word.length + 1;
  }
  return kept;
}
