// The way in: a token, or the context file that an admin made.
import { h } from 'preact';
import { useState } from 'preact/hooks';
import * as server from './server.ts';

interface LoginProps {
  cluster: string;
  trouble: string;
  onIn: (who: server.Who) => void;
}

export function Login({ cluster, trouble, onIn }: LoginProps) {
  const [token, setToken] = useState('');
  const [why, setWhy] = useState(trouble);
  const enter = async (by: object) => {
    try {
      onIn(await server.login(by));
    } catch (error) {
      setWhy((error as Error).message);
    }
  };
  const byFile = async (input: HTMLInputElement) => {
    const file = input.files?.[0];
    if (file === undefined) return;
    try {
      const { certificate, key, authority } = JSON.parse(await file.text());
      await enter({ context: { certificate, key, authority } });
    } catch {
      setWhy('that file is no context of a cluster; "vkctl user add NAME" makes one');
    }
  };
  return h('main', { class: 'login' }, [
    h('img', { src: '/icon.svg', alt: '' }),
    h('h1', null, `Log in to cluster ${cluster}`),
    why !== '' && h('p', { class: 'error', role: 'alert' }, why),
    h(
      'form',
      {
        class: 'card',
        onSubmit: (event: Event) => {
          event.preventDefault();
          void enter({ token: token.trim() });
        },
      },
      h('label', null, 'Token, as "vkctl console" prints it in its address', [
        h('input', {
          type: 'password',
          name: 'token',
          autocomplete: 'off',
          required: true,
          autofocus: true,
          value: token,
          onInput: (event: Event) => setToken((event.target as HTMLInputElement).value),
        }),
      ]),
      h('button', { class: 'main', type: 'submit' }, 'Log in'),
    ),
    h(
      'div',
      { class: 'card' },
      h('label', null, 'Or your certificate: the context file that "vkctl user add" made', [
        h('input', {
          type: 'file',
          name: 'context',
          onChange: (event: Event) => void byFile(event.target as HTMLInputElement),
        }),
      ]),
    ),
  ]);
}
