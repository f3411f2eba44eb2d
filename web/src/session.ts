// The API key. It is kept in this browser alone, goes out in a header and never in an address.
import { Signal } from "./signal";

const NAME = "lipsmith-key";

export const key = new Signal<string | null>(sessionStorage.getItem(NAME) ?? localStorage.getItem(NAME));

export function signIn(given: string, remember: boolean): void {
  signOut();
  (remember ? localStorage : sessionStorage).setItem(NAME, given);
  key.set(given);
}

export function signOut(): void {
  localStorage.removeItem(NAME);
  sessionStorage.removeItem(NAME);
  key.set(null);
}
