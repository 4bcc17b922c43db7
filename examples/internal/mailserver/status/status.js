// Replaces what the page says by what the server says now, every two seconds while somebody looks, and
// not while a button is about to be pressed.
"use strict";

async function refresh() {
  if (!document.hidden && !document.querySelector("button:hover, button:focus, button:active")) {
    try {
      const answer = await fetch("/", {cache: "no-store", signal: AbortSignal.timeout(5000)});
      if (!answer.ok) throw new Error(answer.statusText);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      document.querySelector("main").replaceWith(page.querySelector("main"));
      document.getElementById("lost").hidden = true;
    } catch {
      document.getElementById("lost").hidden = false;
    }
  }
  setTimeout(refresh, 2000);
}

setTimeout(refresh, 2000);
