// Tenant "spin": never ends by itself. It is stopped at its CPU limit, and its neighbours do not notice.
export default {
  fetch() {
    for (;;) {
    }
  },
};
