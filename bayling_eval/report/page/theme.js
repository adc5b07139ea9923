'use strict';
(() => {
  const KEY = 'bayling_eval.theme';
  const button = document.createElement('button');
  const system = matchMedia('(prefers-color-scheme: dark)');
  // Where the reader chose nothing, the page is as the system is; a browser may keep nothing for
  // pages of files, and says so by throwing.
  let chosen;
  try {
    chosen = localStorage.getItem(KEY);
  } catch {
    chosen = null;
  }

  function show() {
    const dark = chosen ? chosen === 'dark' : system.matches;
    if (chosen) document.documentElement.dataset.theme = dark ? 'dark' : 'light';
    else delete document.documentElement.dataset.theme;
    button.setAttribute('aria-pressed', String(dark));
  }

  button.addEventListener('click', () => {
    const dark = button.getAttribute('aria-pressed') !== 'true';
    chosen = dark === system.matches ? null : dark ? 'dark' : 'light';
    show();
    try {
      if (chosen) localStorage.setItem(KEY, chosen);
      else localStorage.removeItem(KEY);
    } catch {
      // It holds for this visit.
    }
  });
  system.addEventListener('change', show);
  button.type = 'button';
  button.id = 'theme';
  button.textContent = 'Dark';
  show();
  document.querySelector('nav').append(button);
})();
