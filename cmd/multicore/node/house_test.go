package node_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// arrows are the imports inside the module that each package may have: they
// run down only. What is pure stays free of I/O, the tree and the network do
// not know each other, and a package that is not listed here fails the test.
var arrows = map[string][]string{
	"cmd/multicore":         {"cmd/multicore/doctor", "cmd/multicore/node", "cmd/multicore/control", "corestore", "corestore/multicore", "hypercore"},
	"cmd/multicore/node":    {"cmd/multicore/control", "fs", "p2p", "corestore", "corestore/multicore", "hypercore", "hypercore/replicate"},
	"cmd/multicore/doctor":  {"cmd/multicore/node", "cmd/multicore/control", "fs", "p2p", "corestore"},
	"cmd/multicore/control": {},
	"fs":                    {"corestore/multicore", "hypercore"},
	"p2p":                   {"p2p/secretstream", "hypercore", "hypercore/replicate"},
	"p2p/secretstream":      {},
	"corestore":             {"hypercore", "hypercore/storage", "hypercore/compact"},
	"corestore/multicore":   {"corestore", "hypercore", "hypercore/replicate", "hypercore/storage", "hypercore/compact"},
	"hypercore":             {"hypercore/merkle", "hypercore/compact", "hypercore/storage"},
	"hypercore/replicate":   {"hypercore", "hypercore/merkle", "hypercore/wire"},
	"hypercore/wire":        {"hypercore/merkle", "hypercore/compact"},
	"hypercore/storage":     {"hypercore/merkle"},
	"hypercore/merkle":      {},
	"hypercore/compact":     {},

	"scripts/bench": {"cmd/multicore/control", "p2p", "corestore", "hypercore", "hypercore/replicate"},

	"hypercore/storage/storagetest": {"hypercore/storage", "hypercore/merkle"},
}

// only names, for a library, the one package that may import it.
var only = map[string]string{
	"github.com/hanwen/go-fuse/":      "fs",
	"github.com/libp2p/":              "p2p",
	"github.com/multiformats/":        "p2p",
	"github.com/ipfs/":                "p2p",
	"filippo.io/edwards25519":         "p2p/secretstream",
	"go.etcd.io/bbolt":                "hypercore/storage",
	"github.com/prometheus/":          "cmd/multicore/node",
	"golang.org/x/time":               "hypercore/replicate",
	"github.com/urfave/cli/":          "cmd/multicore",
	"github.com/rogpeppe/go-internal": "cmd/multicore",
}

// but names, for a package, the libraries that it may import all the same.
var but = map[string][]string{
	// A bare stream and a bare mount, to compare with.
	"scripts/bench": {"github.com/libp2p/", "github.com/hanwen/go-fuse/"},
	// The registry that libp2p registers at.
	"p2p": {"github.com/prometheus/"},
}

func TestHouse(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(rel)
		seen[pkg] = true
		check(t, pkg, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range arrows {
		if !seen[pkg] {
			t.Errorf("package %s is in the list of arrows but not in the tree", pkg)
		}
	}
}

func check(t *testing.T, pkg, name string) {
	allowed, known := arrows[pkg]
	if !known {
		t.Errorf("%s: package %s has no place in the house", path.Base(name), pkg)
		return
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	test := strings.HasSuffix(name, "_test.go")
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Error(err)
			continue
		}
		if inner, ok := strings.CutPrefix(imported, "multicore/"); ok && !test && !slices.Contains(allowed, inner) {
			t.Errorf("%s/%s imports %s, which is not below it", pkg, path.Base(name), inner)
		}
		for prefix, importer := range only {
			if strings.HasPrefix(imported, prefix) && pkg != importer && !slices.Contains(but[pkg], prefix) {
				t.Errorf("%s/%s imports %s; only %s may", pkg, path.Base(name), imported, importer)
			}
		}
	}
}
