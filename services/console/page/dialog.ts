// A dialog over the page: Escape closes it, and the focus goes back to where it was.
import { type ComponentChildren, h } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

interface DialogProps {
  title: string;
  small?: boolean;
  onClose: () => void;
  children?: ComponentChildren;
}

export function Dialog({ title, small, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => (before instanceof HTMLElement ? before.focus() : undefined);
  }, []);
  return h('dialog', { ref: dialog, class: small ? 'small' : '', 'aria-label': title, onClose }, [
    h('h2', null, title),
    children,
    h('div', { class: 'buttons' }, h('button', { type: 'button', onClick: onClose }, 'Close')),
  ]);
}
