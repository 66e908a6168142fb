package archtest

import (
	"path"
	"regexp"
	"strings"
	"testing"
)

// cited is how SECURITY.md names a test: by its package's folder and its name.
var (
	cited  = regexp.MustCompile("`([a-z0-9/]+)\\.(Test\\w+)`")
	tested = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
)

// Each row of SECURITY.md's table, which says who can do what, names tests that exist.
func TestThreatsAreTested(t *testing.T) {
	exists := map[string]bool{}
	var model string
	eachFile(t, func(name string, content []byte) {
		if name == "SECURITY.md" {
			model = string(content)
		}
		if strings.HasSuffix(name, "_test.go") {
			for _, m := range tested.FindAllSubmatch(content, -1) {
				exists[path.Dir(name)+"."+string(m[1])] = true
			}
		}
	})
	rows := 0
	for line := range strings.Lines(model) {
		tests := cited.FindAllStringSubmatch(line, -1)
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| who |") {
			rows++
			if len(tests) == 0 {
				t.Errorf("SECURITY.md names no test in %q", line)
			}
		}
		for _, m := range tests {
			if !exists[m[1]+"."+m[2]] {
				t.Errorf("SECURITY.md names %s of %s, which is not there", m[2], m[1])
			}
		}
	}
	if rows < 10 {
		t.Errorf("SECURITY.md has a table of %d rows: who can do what?", rows)
	}
}
