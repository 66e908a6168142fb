package archtest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// maxLines is where a file has outgrown its reader: split it by verb.
const maxLines = 550

// eachFile calls do with each file of the source tree that people write.
func eachFile(t *testing.T, do func(name string, content []byte)) {
	t.Helper()
	root := os.DirFS("../..")
	seen := 0
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); base == "testdata" || base == "bin" || base != "." && base[0] == '.' {
				return fs.SkipDir
			}
			return nil
		}
		if ext := path.Ext(name); ext != ".go" && ext != ".md" {
			return nil
		}
		content, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		if generated.Match(content) {
			return nil
		}
		seen++
		do(name, content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 20 {
		t.Fatalf("read %d files: this is not the source tree", seen)
	}
}

var (
	generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
	later     = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)
)

func TestFiles(t *testing.T) {
	eachFile(t, func(name string, content []byte) {
		if path.Ext(name) != ".go" {
			return
		}
		if n := bytes.Count(content, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines, at most %d: split it by verb", name, n, maxLines)
		}
		if m := later.Find(content); m != nil {
			t.Errorf("%s says %q: do it, or open an issue", name, m)
		}
	})
}

// Every package has a doc.go that says something; a small command may say it
// above its only file.
func TestPackageDocs(t *testing.T) {
	documented := map[string]bool{}
	eachFile(t, func(name string, content []byte) {
		if path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, content, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Error(err)
			return
		}
		dir := path.Dir(name)
		says := words(f.Doc) >= 10 && (path.Base(name) == "doc.go" || f.Name.Name == "main")
		documented[dir] = documented[dir] || says
	})
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no doc.go that tells what the package is for", dir)
		}
	}
}

func words(doc *ast.CommentGroup) int { return len(strings.Fields(doc.Text())) }

var (
	link  = regexp.MustCompile(`\]\(([^)\s#]+)(#[^)]*)?\)`)
	fence = regexp.MustCompile("(?s)```.*?```")
)

// Relative links in the documents lead to files of the tree.
func TestLinks(t *testing.T) {
	eachFile(t, func(name string, content []byte) {
		if path.Ext(name) != ".md" {
			return
		}
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(string(content), ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(path.Join("../..", path.Dir(name), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			}
		}
	})
}
