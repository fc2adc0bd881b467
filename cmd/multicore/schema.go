package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
)

// schemaJSON holds in $defs, by the names of commands, what each prints with
// --json, and what several of them share.
//
//go:embed schema.json
var schemaJSON []byte

func (p *program) schemaCommand() *cli.Command {
	return &cli.Command{
		Name:        "schema",
		Usage:       "print the JSON Schema of what a command prints with --json",
		ArgsUsage:   "COMMAND",
		Description: "Of a command that prints many lines, it is that of each.\n\n" + example("multicore schema status", "multicore schema tail > block.schema.json"),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 1, 1); err != nil {
				return err
			}
			command := c.App.Command(c.Args().First())
			if command == nil {
				return noCommand(c.App, c.Args().First())
			}
			doc, err := schemaOf(command.Name)
			if err != nil {
				return err
			}
			if p.json {
				return p.object(doc)
			}
			text, err := json.MarshalIndent(doc, "", "  ")
			if err != nil {
				return err
			}
			return p.result("%s", text)
		},
	}
}

// schemaOf is the schema of one command, with what of $defs it needs.
func schemaOf(command string) (map[string]any, error) {
	var all struct {
		Schema string         `json:"$schema"`
		Defs   map[string]any `json:"$defs"`
	}
	if err := json.Unmarshal(schemaJSON, &all); err != nil {
		return nil, err
	}
	top, ok := all.Defs[command].(map[string]any)
	if !ok {
		return nil, &control.Error{Code: control.NotFound, Text: fmt.Sprintf("%s prints no JSON", command)}
	}
	defs := make(map[string]any)
	var need func(v any)
	need = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				if name := strings.TrimPrefix(ref, "#/$defs/"); defs[name] == nil {
					defs[name] = all.Defs[name]
					need(all.Defs[name])
				}
			}
			for _, inner := range v {
				need(inner)
			}
		case []any:
			for _, inner := range v {
				need(inner)
			}
		}
	}
	need(top)
	doc := map[string]any{"$schema": all.Schema, "title": "multicore " + command + " --json"}
	for name, value := range top {
		doc[name] = value
	}
	if len(defs) > 0 {
		doc["$defs"] = defs
	}
	return doc, nil
}
