// Where the bench is: one line that changes on a terminal, a line for each new step elsewhere.
export class Progress {
  #last = '';
  #startMs = performance.now();

  show(text: string): void {
    if (text === this.#last) return;
    this.#last = text;
    const seconds = ((performance.now() - this.#startMs) / 1000).toFixed(0).padStart(4);
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${seconds} s  ${text}`);
    else process.stderr.write(`${seconds} s  ${text}\n`);
  }

  clear(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  }
}
