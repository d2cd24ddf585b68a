// Scripts by chance, of what both /bin/sh and the shell of a login know. Each ends by itself.

/** Mulberry32: the same seed, the same script. */
export function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const NAMES = ['a', 'b', 'long_name', 'x1'];
const LITERALS = [
  'one',
  'two2',
  'a.b.c',
  'x/y',
  '-n1',
  '%',
  'e=f',
  '+',
  ':',
  'q,r',
  '*',
  'no*such',
  '?',
  '[a',
  '~x',
  '{a,b}',
];
const QUOTED = ['a  b', '', ' ', '$a', '*', 'it', '"', '#', 'x;y', '(z)', '&', '|', 'é'];
const PATTERNS = ['*', 'a*', '*.c', '?', '*[a-c]', '[!x]*', 'one', "'*'", '*b*', '*/*'];

export class ScriptGenerator {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = chance(seed);
  }

  script(): string {
    const lines = ["a='1  2'; b=x:y:; long_name=a.b.c; unset x1", 'set -- p "q r" s'];
    for (let i = this.#below(6) + 3; i > 0; i--)
      lines.push(this.#below(8) === 0 ? this.#here() : this.#command(3));
    lines.push('printf "%s;" "$a" "$b" "$long_name" "$x1" $#; echo "$?"');
    return `${lines.join('\n')}\n`;
  }

  #here(): string {
    const body = this.#of(['text', `$a \${b}`, '\'quoted\' "$a"', '$((1 + 2)) `echo c`', '\\$a', `\${x1-q}`]);
    return this.#of([
      `cat <<END\n${body}\nEND`,
      `cat <<'END' | tr a-m A-M\n${body}\nEND`,
      `while read -r n; do echo "[$n]"; done <<-END\n\t${body}\n\tEND`,
    ]);
  }

  #below(count: number): number {
    return Math.floor(this.#next() * count);
  }

  #of<T>(all: readonly T[]): T {
    return all[this.#below(all.length)]!;
  }

  #command(depth: number): string {
    const simple: (() => string)[] = [
      () => this.#show(depth),
      () => this.#show(depth),
      () => `${this.#of(NAMES)}=${this.#word(depth)}`,
      () => `set -- ${this.#words(depth)}`,
      () => `IFS=${this.#of([':', "' '", '.', "' :'", "''"])}; ${this.#show(depth)}; unset IFS`,
      () => 'shift $(($# > 0))',
      () => `unset ${this.#of(NAMES)}`,
      () => this.#of(['true', 'false', ':', '(exit 3)', '! true']),
      () => `test ${this.#quoted(depth)} ${this.#of(['=', '!='])} ${this.#quoted(depth)}`,
      () => `eval ${this.#of(["'a=ev$b'", '"b=\\$a"', "'printf %s e; echo'"])}`,
      () => `printf '%s\\n' ${this.#quoted(depth)} | { IFS= read -r a; printf '[%s]\\n' "$a"; }`,
      () => `printf '%s\\n' ${this.#quoted(depth)} | { read a b; printf '[%s|%s]\\n' "$a" "$b"; }`,
    ];
    if (depth <= 0) return this.#of(simple)();
    const body = () => this.#command(depth - 1);
    const compound: (() => string)[] = [
      () => `if ${body()}; then ${body()}; else ${body()}; fi`,
      () => `for ${this.#of(NAMES)} in ${this.#words(depth)}; do ${body()}; done`,
      () =>
        `case ${this.#word(depth)} in ${this.#of(PATTERNS)}) ${body()};; ${this.#of(PATTERNS)}|z) ${body()};; esac`,
      () =>
        `n${depth}=0; while [ $n${depth} -lt ${this.#below(4)} ]; do n${depth}=$((n${depth} + 1)); ${body()}; ${this.#of(['continue', 'break', ':'])}; done`,
      () => `f() { ${body()}; return ${this.#below(4)}; }; f ${this.#words(depth)}; echo "$?"`,
      () => `{ ${body()}; ${body()}; } | tr a-m A-M`,
      () => `(${body()}; a=lost)`,
      () => `${body()} && ${body()}`,
      () => `${body()} || ${body()}`,
      () => `{ ${body()}; } > "$T/f"; cat "$T/f"`,
      () => `a=$(${body()})`,
      () => `{ echo out; echo err >&2; } 2>&1 | sort`,
    ];
    return this.#of([...simple, ...compound])();
  }

  #show(depth: number): string {
    return `printf '<%s>' ${this.#words(depth)}; echo`;
  }

  #words(depth: number): string {
    return Array.from({ length: this.#below(3) + 1 }, () => this.#word(depth)).join(' ');
  }

  #word(depth: number): string {
    return Array.from({ length: this.#below(2) + 1 }, () => this.#part(depth)).join('');
  }

  #quoted(depth: number): string {
    return `"${this.#expansion(depth, true)}${this.#of(['', 'z', ' '])}"`;
  }

  #part(depth: number): string {
    switch (this.#below(6)) {
      case 0:
        return this.#of(LITERALS);
      case 1:
        return `'${this.#of(QUOTED)}'`;
      case 2:
        return this.#of(['\\$', '\\ ', '\\*', '\\"', "\\'", '"a\\$b"']);
      case 3:
        return this.#quoted(depth);
      default:
        return this.#expansion(depth, false);
    }
  }

  #expansion(depth: number, inQuotes: boolean): string {
    const name = this.#of([...NAMES, '1', '2', '9']);
    const word = () =>
      inQuotes ? this.#of(['w', 'v w', '$a', '']) : this.#of(['w', '"v w"', '$b', "'q'", '']);
    const operators = ['-', ':-', '+', ':+'].map((operator) => () => `\${${name}${operator}${word()}}`);
    const cuts = ['#', '##', '%', '%%'].map((cut) => () => `\${${name}${cut}${this.#of(PATTERNS)}}`);
    const all: (() => string)[] = [
      () => `$${name}`,
      () => `\${${name}}`,
      () => `\${#${name}}`,
      ...operators,
      ...cuts,
      () => `\${${this.#of(NAMES)}:=${word()}}`,
      () => this.#of(['$@', '$*', '$#', '$?']),
      () => `$((${this.#sum(2)}))`,
    ];
    if (depth > 0)
      all.push(
        () => `$(${this.#show(depth - 1)})`,
        () => '`echo x y`',
      );
    return this.#of(all)();
  }

  #sum(depth: number): string {
    if (depth === 0) return this.#of(['1', '7', '010', '0x1f', '-3', '$#', 'n_unset', '(2)']);
    const operators = ['+', '-', '*', '<<', '<', '>=', '==', '!=', '&', '|', '^', '&&', '||'];
    const [left, right] = [this.#sum(depth - 1), this.#sum(depth - 1)];
    return this.#of([
      `${left} ${this.#of(operators)} ${right}`,
      `(${left} ${this.#of(operators)} ${right})`,
      `${left} ? ${right} : 5`,
      `!${left}`,
      `~(${left})`,
      `${left} ${this.#of(['/', '%'])} 3`,
    ]);
  }
}
