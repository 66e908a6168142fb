package overlay

import "testing"

// The voters of a bank come from a register, which any member may have written.
func FuzzParseBank(f *testing.F) {
	f.Add([]byte(`{"format":1,"voters":[{"peer":"QQ==","incarnation":7},{"peer":"Qg=="}],"shards":[[0,1],[1]]}`))
	f.Add([]byte(`{"format":1,"voters":[{"peer":"QQ=="}],"shards":[[0],[0,0]]}`))
	f.Add([]byte(`{"format":1,"voters":[],"shards":[[-1],[1]]}`))
	f.Add([]byte(`{"format":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		const shards = 2
		first, err := parseBank(b, shards)
		if err != nil {
			return
		}
		if len(first) != shards {
			t.Fatalf("%d shards, want %d", len(first), shards)
		}
		for _, c := range first {
			if err := c.Check(); err != nil || c.Epoch != 1 || !c.Stable() {
				t.Errorf("%+v: %v", c, err)
			}
		}
	})
}
