/** The command that gives a virtual kernel more, as it can be typed. @param key USER/NAME; a cluster without identities has no USER */
export function setHint(key: string, flag: string, value = 'N'): string {
  const slash = key.indexOf('/');
  const user = slash > 0 ? ` --user ${key.slice(0, slash)}` : '';
  return `vkctl vkernel set ${key.slice(slash + 1)}${user} ${flag} ${value}`;
}
