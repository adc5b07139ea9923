'use strict';
(() => {
  addEventListener('beforeprint', () => {
    document.querySelectorAll('details:not([open])').forEach((fold) => {
      fold.dataset.printed = '';
      fold.open = true;
    });
  });
  addEventListener('afterprint', () => {
    document.querySelectorAll('details[data-printed]').forEach((fold) => {
      delete fold.dataset.printed;
      fold.open = false;
    });
  });

  function hint(box) {
    const hidden = box.scrollWidth - box.clientWidth;
    box.classList.toggle('more', hidden - box.scrollLeft >= 2);
    const cue = box.previousElementSibling;
    if (cue && cue.matches('.cue')) cue.hidden = hidden < 2;
  }

  // What is scrolled to or focused must not lie under what stays in place.
  function clear(box) {
    const head = box.querySelector('.sortable thead');
    if (!head) return;
    const names = [...head.querySelectorAll('.l')].map((th) => th.offsetWidth);
    box.style.scrollPaddingTop = `${head.offsetHeight}px`;
    box.style.scrollPaddingLeft = `${names.reduce((a, b) => a + b, 0)}px`;
  }

  const nav = document.querySelector('nav');
  const sizes = new ResizeObserver((seen) => seen.forEach(({ target }) => {
    if (target === nav) {
      document.documentElement.style.scrollPaddingTop = `${nav.offsetHeight + 8}px`;
    } else {
      hint(target);
      clear(target);
    }
  }));
  sizes.observe(nav);
  document.querySelectorAll('.scroll').forEach((box) => {
    sizes.observe(box);
    box.addEventListener('scroll', () => hint(box), { passive: true });
  });
})();
