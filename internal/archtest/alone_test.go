package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"testing"
)

// alone are the packages that are owned by one goroutine, with their tests: the
// cores, and the model that runs them. `make race` leaves them out for that reason.
var alone = map[string]bool{"chord": true, "store": true, "compute": true, "netsim/model": true}

func TestNoGoroutines(t *testing.T) {
	met := map[string]bool{}
	eachFile(t, func(name string, content []byte) {
		dir := path.Dir(name)
		if path.Ext(name) != ".go" || !alone[dir] {
			return
		}
		met[dir] = true
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, name, content, parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n.(type) {
			case *ast.GoStmt, *ast.ChanType, *ast.SelectStmt:
				t.Errorf("%s: a goroutine or a channel, in a package that is owned by one goroutine", files.Position(n.Pos()))
			}
			return true
		})
	})
	if len(met) != len(alone) {
		t.Errorf("saw %v: want all of %v", met, alone)
	}
}
