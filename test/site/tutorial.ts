// A page of docs/tutorials: programs (```c hits.c) and what is typed (``` with `$ command` lines, each with what it prints). Of
// ```rust-commands and ```go-commands the same, where that language is there.

export interface Command {
  readonly line: string;
  readonly output: string;
  readonly needs?: string;
}

export class Tutorial {
  readonly files: readonly { readonly name: string; readonly text: string }[];
  readonly commands: readonly Command[];
  readonly #page: string;

  constructor(page: string) {
    this.#page = page;
    const blocks = [...page.matchAll(/^```([\w-]*)(?: (\S+))?\n(.*?)^```$/gms)];
    this.files = blocks
      .filter(([, , name]) => name)
      .map(([, , name, text]) => ({ name: name!, text: text! }));
    this.commands = blocks
      .filter(([, language, name]) => !name && (language === '' || language!.endsWith('-commands')))
      .flatMap(([, language, , text]) => commandsIn(text!, language!.replace('-commands', '') || undefined));
  }

  /** The page with other outputs. */
  rewritten(commands: readonly Command[], outputs: readonly string[]): string {
    let page = this.#page;
    let from = 0;
    for (const [i, { line, output }] of commands.entries()) {
      const at = page.indexOf(`$ ${line}\n${output}`, from);
      const head = at + line.length + 3;
      page = `${page.slice(0, head)}${outputs[i] ?? ''}${page.slice(head + output.length)}`;
      from = head;
    }
    return page;
  }
}

function commandsIn(block: string, needs: string | undefined): Command[] {
  const commands: { line: string; output: string; needs: string | undefined }[] = [];
  for (const line of block.trimEnd().split('\n')) {
    if (line.startsWith('$ ')) commands.push({ line: line.slice(2), output: '', needs });
    else commands.at(-1)!.output += `${line}\n`;
  }
  return commands;
}
