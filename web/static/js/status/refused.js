// Why something was not done, with the way to do it where a key is wanted.

import { signIn } from "../api.js";
import { make } from "../dom.js";

export function explain(error) {
  if (error.status !== 401 && error.status !== 403) return [error.message];
  return ["Whoever changes something shows a key that may write (", make("code", {}, "candlehouse keys add NAME --scope write"), " makes one) or the token. ",
    make("a", { href: signIn() }, "Sign in")];
}
