'use strict';
(() => {
  // A link shows what it leads to, wherever that is folded away. Whoever makes a thing only when it
  // is asked for, or hides it, listens for "reveal" in the capturing phase, or fires it when ready.
  function reveal(target) {
    for (let fold = target.closest('details'); fold; fold = fold.parentElement.closest('details')) {
      fold.open = true;
    }
    document.querySelectorAll('.here').forEach((one) => one.classList.remove('here'));
    target.classList.add('here');
    const small = target.matches('tr, .sample');
    target.scrollIntoView({ block: small ? 'center' : 'start', inline: 'nearest' });
    const focused = target.querySelector(':scope > :is(summary, h2)') ?? target;
    if (focused.tabIndex < 0) focused.tabIndex = -1;
    focused.focus({ preventScroll: true });
  }

  function follow() {
    let id = location.hash.slice(1);
    try {
      id = decodeURIComponent(id);
    } catch {
      // A stray % is part of the name.
    }
    const target = id && document.getElementById(id);
    if (target) target.dispatchEvent(new CustomEvent('reveal', { bubbles: true }));
  }

  document.addEventListener('reveal', (event) => reveal(event.target));
  document.addEventListener('click', (event) => {
    const link = event.target.closest('a[href^="#"]');
    // The same link again changes no hash, but the fold may have been closed since.
    if (link && link.hash === location.hash) {
      event.preventDefault();
      follow();
    }
  });
  addEventListener('hashchange', follow);
  // Not earlier: the browser takes the focus away from what is no target of its own.
  addEventListener('load', follow);
})();
