// Texts of the description as a binding writes them.

/** `{name}` becomes what the binding calls it. */
export function named(text: string, nameOf: (name: string) => string): string {
  return text.replaceAll(/\{(\w+)\}/g, (_, name: string) => nameOf(name));
}

/** Lines of at most `width` characters; two spaces after a sentence stay where the line goes on. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const [, gap, word] of text.matchAll(/( *)([^ ]+)/g)) {
    if (line !== '' && line.length + gap!.length + word!.length > width) {
      lines.push(line);
      line = word!;
    } else line += line === '' ? word! : gap! + word!;
  }
  return line === '' ? lines : [...lines, line];
}

/** A doc comment: on one line where it fits, paragraphs apart. */
export function docComment(text: string, width: number): string {
  if (!text.includes('\n') && text.length + 7 <= width) return `/** ${text} */`;
  const paragraphs = text
    .split('\n\n')
    .map((paragraph) => wrapped(paragraph, width - 3).map((line) => ` * ${line}`));
  return ['/**', ...paragraphs.flatMap((lines, i) => (i === 0 ? lines : [' *', ...lines])), ' */'].join('\n');
}
