/** A person's name, and that of a group. */
export const PERSON = /^[a-z_][a-z0-9_-]{0,31}$/;
