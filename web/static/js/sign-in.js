// A link on another site brings no cookie along (SameSite=Strict), so whoever is signed in already still lands here.
// What this page asks itself does bring it: an answer that leads elsewhere means that there is nothing to type.

const answer = await fetch(location.href, { redirect: "manual" }).catch(() => undefined);
if (answer?.type === "opaqueredirect") location.replace(location.href);
