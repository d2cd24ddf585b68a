// Charts as SVG, by vega-lite, without a browser.
import { parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';

const SCHEMA = 'https://vega.github.io/schema/vega-lite/v6.json';

/** What of a specification is not the same for all; of each kind of them. */
type Without<Spec> = Spec extends unknown ? Omit<Spec, '$schema' | 'background' | 'padding'> : never;
export type Chart = Without<TopLevelSpec>;

export async function chartSvg(chart: Chart): Promise<string> {
  const spec = { $schema: SCHEMA, background: 'white', padding: 12, ...chart } as TopLevelSpec;
  const view = new View(parse(compile(spec).spec), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
