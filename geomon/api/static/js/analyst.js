// Who reviews here: asked of the server once, with the name and reasons that go with every change.

import { getEventTypes, getVisitor, logIn, logOut } from "./api.js";
import { el } from "./format.js";

const KEPT = "geomon-analyst";

export const analyst = { name: "", mayWrite: false, canLogIn: false, types: [] };
const listeners = new Set();
export const onAnalyst = (listener) => listeners.add(listener);

export async function findAnalyst() {
  const [visitor, types] = await Promise.all([getVisitor(), getEventTypes()]).catch(() => [null, []]);
  Object.assign(analyst, { mayWrite: Boolean(visitor?.may_write), canLogIn: Boolean(visitor?.can_log_in), login: visitor?.name ?? "", types });
  analyst.name = (!analyst.canLogIn && localStorage.getItem(KEPT)) || analyst.login;
  for (const listener of listeners) listener();
}

// What goes with every change: who and why.
export const signed = (reason = "") => ({ actor: analyst.name, reason });

// A small form in the bar: a name where nobody logs in, or user and password.
export function analystForm() {
  if (analyst.mayWrite && !analyst.canLogIn) {
    const input = el("input", { id: "analyst", type: "text", maxlength: 60, autocomplete: "name", "aria-label": "Your name, kept with every change", title: "Your name, kept with every change" });
    input.value = analyst.name;
    input.addEventListener("change", () => {
      analyst.name = input.value.trim() || analyst.login;
      localStorage.setItem(KEPT, analyst.name);
    });
    return el("label", { class: "who" }, "Analyst ", input);
  }
  if (analyst.mayWrite) return el("span", { class: "who" }, analyst.name, el("button", { type: "button", class: "quiet", onclick: () => logOut().then(findAnalyst) }, "Log out"));
  if (!analyst.canLogIn) return null;
  const user = el("input", { type: "text", placeholder: "user", autocomplete: "username", "aria-label": "User" });
  const password = el("input", { type: "password", placeholder: "password", autocomplete: "current-password", "aria-label": "Password" });
  const problem = el("span", { class: "problem", role: "alert" });
  const submit = async (e) => {
    e.preventDefault();
    problem.textContent = "";
    try {
      await logIn(user.value, password.value);
      await findAnalyst();
    } catch (error) {
      problem.textContent = error.message;
    }
  };
  return el("form", { class: "who", onsubmit: submit }, user, password, el("button", { type: "submit", class: "button" }, "Log in"), problem);
}

export const mayEdit = () => analyst.mayWrite;
