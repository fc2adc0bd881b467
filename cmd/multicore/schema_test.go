package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// checkedMain is main as the tests run it: with --json each line that it prints
// must fit the schema of the command. A line that does not ends it with an exit
// code that no test expects.
func checkedMain() {
	var out io.Writer = os.Stdout
	command, ok := printsJSON(os.Args)
	if slices.Contains(os.Args, "--daemon") && !isDaemon() {
		ok = false // the daemon itself prints, to a file that it inherits
	}
	if ok {
		out = &schemaChecker{out: os.Stdout, command: command}
	}
	os.Exit(run(os.Args, os.Stdin, out, os.Stderr))
}

// printsJSON says which command is called, where it prints JSON.
func printsJSON(args []string) (command string, ok bool) {
	arranged, err := arrange(args, (&program{}).app())
	if err != nil || len(args) > 1 && args[1] == completeCommand || slices.Contains(arranged, "--help") || slices.Contains(arranged, "-h") {
		return "", false
	}
	at := slices.IndexFunc(arranged[1:], func(a string) bool { return !strings.HasPrefix(a, "-") })
	if at < 0 || arranged[1+at] == "help" {
		return "", false
	}
	if json, _ := strconv.ParseBool(os.Getenv("MULTICORE_JSON")); !json && !slices.Contains(arranged[:1+at], "--json") {
		return "", false
	}
	return arranged[1+at], true
}

const schemaViolated = 99

// schemaChecker passes on what fits the schema, line by line.
type schemaChecker struct {
	out     *os.File
	command string
	rest    []byte // the beginning of a line
}

func (c *schemaChecker) Write(p []byte) (int, error) {
	lines := bytes.SplitAfter(append(c.rest, p...), []byte("\n"))
	c.rest = bytes.Clone(lines[len(lines)-1])
	for _, line := range lines[:len(lines)-1] {
		if err := fitsSchema(c.command, line); err != nil {
			fmt.Fprintf(os.Stderr, "%s --json does not fit its schema: %s%v\n", c.command, line, err)
			os.Exit(schemaViolated)
		}
		if _, err := c.out.Write(line); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// strictSchema is schema.json, in which objects have no other fields than those
// that it names: what we print is all described.
var strictSchema = sync.OnceValue(func() *jsonschema.Compiler {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaJSON))
	if err != nil {
		panic(err)
	}
	var tighten func(v any)
	tighten = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if _, ok := v["properties"].(map[string]any); ok {
				v["additionalProperties"] = false
			}
			for _, inner := range v {
				tighten(inner)
			}
		case []any:
			for _, inner := range v {
				tighten(inner)
			}
		}
	}
	tighten(doc)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.AssertContent()
	if err := c.AddResource("schema.json", doc); err != nil {
		panic(err)
	}
	return c
})

var schemaMu sync.Mutex // over strictSchema

// fitsSchema checks a document against one of $defs.
func fitsSchema(name string, text []byte) error {
	schemaMu.Lock()
	defer schemaMu.Unlock()
	s, err := strictSchema().Compile("schema.json#/$defs/" + name)
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// What the tests check is found however it is called.
func TestPrintsJSON(t *testing.T) {
	for line, want := range map[string]string{
		"--json status": "status", "status --json": "status", "--store x get core-3 1 --json": "get", "umount m --json": "unmount",
		"status": "", "append -- --json": "", "help --json": "", "status --json --help": "", "--json": "", "__complete status --json": "", "statsu --json": "",
	} {
		if got, ok := printsJSON(append([]string{"multicore"}, strings.Fields(line)...)); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v, want %q", line, got, ok, want)
		}
	}
}

// TestSchemas: each command has a schema that stands alone and is valid, and what
// does not fit is refused.
func TestSchemas(t *testing.T) {
	for _, c := range (&program{}).app().VisibleCommands() {
		if c.Name == "help" {
			continue
		}
		doc, err := schemaOf(c.Name)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		compiler := jsonschema.NewCompiler()
		if err := compiler.AddResource("alone.json", v); err != nil {
			t.Fatal(err)
		}
		if _, err := compiler.Compile("alone.json"); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
	for _, bad := range []string{`{}`, `{"main_key":"x"}`, `{"main_key":"` + strings.Repeat("a", 64) + `","more":1}`, `[]`, ``} {
		if fitsSchema("key", []byte(bad)) == nil {
			t.Errorf("%s fits the schema of key", bad)
		}
	}
	if err := fitsSchema("key", []byte(`{"main_key":"`+strings.Repeat("a", 64)+`"}`)); err != nil {
		t.Error(err)
	}
}
