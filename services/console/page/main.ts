import { h, render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Login } from './login.ts';
import * as server from './server.ts';
import { Shell } from './shell.ts';

function Page() {
  const [who, setWho] = useState<server.Who>();
  const [trouble, setTrouble] = useState('');
  useEffect(() => {
    const token = /^#token=([\w.-]+)$/.exec(location.hash)?.[1];
    // It stays neither in the history nor in a bookmark.
    if (token !== undefined) window.history.replaceState(null, '', '/');
    const begin = async () => {
      const known = await server.session();
      if (known.who !== undefined) return known;
      if (token !== undefined) return await server.login({ token });
      return known.needsLogin ? known : await server.login({});
    };
    begin().then(setWho, async (error: Error) => {
      setTrouble(error.message);
      setWho(await server.session().catch(() => ({ cluster: '', needsLogin: true })));
    });
  }, []);
  if (who === undefined) return h('p', { class: 'login', role: 'status' }, 'Asking who you are ...');
  if (who.who === undefined) return h(Login, { cluster: who.cluster, trouble, onIn: setWho });
  const onOut = () => setWho({ cluster: who.cluster, needsLogin: true });
  return h(Shell, { who, onOut });
}

render(h(Page, null), document.getElementById('page')!);
