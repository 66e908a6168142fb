package overlay

import (
	"testing"

	"github.com/chorus-net/chorus/store"
)

// Whose N keys go by.
func TestRuling(t *testing.T) {
	for _, x := range []struct{ ns, name, want string }{
		{"photos", "7", "photos"},
		{"", "7", ""},
		{store.RegisterNamespace, "photos/leader", "photos"},
		{store.RegisterNamespace, "leader", ""},
		{largeSpace, "photos/7", "photos"},
		{settingsSpace, "photos", ""},
		{"@someone", "7", ""}, // whoever it belongs to, others decide nothing of it
		{largeSpace, "@someone/7", ""},
	} {
		if got := ruling(x.ns, x.name); got != x.want {
			t.Errorf("ruling of %q in %q: %q, want %q", x.name, x.ns, got, x.want)
		}
	}
}
