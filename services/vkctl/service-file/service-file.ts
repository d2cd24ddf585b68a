// Reads files of services. What is wrong is one line: file, line, field, and how to mend it.
import { readFileSync } from 'node:fs';
import { yamlIn } from '@odonata/rpc/yaml-file.ts';
import { EXIT, Failure, reasonOf } from '../failure.ts';
import { type ServiceForm, serviceForm } from './form.ts';

/** Each document of a file is a service. @throws Failure */
export function readServices(path: string): ServiceForm[] {
  let text: string;
  try {
    text = readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (error) {
    throw new Failure(`${path}: ${reasonOf(error as NodeJS.ErrnoException)}`, { exitCode: EXIT.usage });
  }
  return servicesIn(text, path === '-' ? 'standard input' : path);
}

export function servicesIn(text: string, file: string): ServiceForm[] {
  const example = 'one has fields, as name: web; vkctl apply --help shows one';
  let services: ServiceForm[];
  try {
    services = yamlIn(text, file, { form: serviceForm, what: 'service', example });
  } catch (error) {
    throw wrong((error as Error).message);
  }
  if (services.length === 0) throw wrong(`${file}: no service is in there; vkctl apply --help shows one`);
  return services;
}

const wrong = (text: string): Failure => new Failure(text, { exitCode: EXIT.usage });
