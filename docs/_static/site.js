// What is wider than the screen scrolls on its own; the keyboard must reach it to scroll it.
(function () {
  "use strict";

  function mark() {
    document.querySelectorAll("pre, .table-wrapper").forEach((one) => {
      if (one.scrollWidth > one.clientWidth) one.tabIndex = 0;
      else one.removeAttribute("tabindex");
    });
  }

  window.addEventListener("load", mark);
  window.addEventListener("resize", mark);
})();
