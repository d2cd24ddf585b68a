// What is wrong with the imports, a line each.
import { circlesOf } from './circles.ts';
import { againstDirection } from './direction.ts';
import type { ImportGraph } from './source.ts';

export interface Known {
  readonly inCircles: ReadonlySet<string>;
  readonly againstDirection: ReadonlyMap<string, string>;
}

export function findings(graph: ImportGraph, known: Known): string[] {
  const circles = circlesOf(graph);
  const wrong = againstDirection(graph);
  const inCircles = new Set(circles.flat());
  return [
    ...circles.flatMap((circle) => {
      const fresh = circle.filter((file) => !known.inCircles.has(file));
      const shown = circle.filter((file) => !fresh.includes(file)).length;
      if (fresh.length === 0) return [];
      const beside = shown === 0 ? '' : `, with ${shown} that are known`;
      return `import circle: ${fresh.join(', ')}${beside}. Move what both need into a file of its own.`;
    }),
    ...[...wrong]
      .filter(([found]) => !known.againstDirection.has(found))
      .map(([found, why]) => `against the direction: ${found}: ${why}.`),
    ...[...known.inCircles]
      .filter((file) => !inCircles.has(file))
      .map((file) => `in no import circle any more: ${file}. Take it off test/imports/known.ts.`),
    ...[...known.againstDirection.keys()]
      .filter((found) => !wrong.has(found))
      .map((found) => `not against the direction any more: ${found}. Take it off test/imports/known.ts.`),
  ];
}
