package main

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/node"
	"multicore/corestore"
)

func (p *program) initCommand() *cli.Command {
	return &cli.Command{
		Name:  "init",
		Usage: "make the own multicore and print its main core key",
		Description: "With --primary-key the store is made again from its primary key: 64 hex digits and\n" +
			"a newline, as the file primary-key in a store. It then signs nothing new until a\n" +
			"peer said how much there is already, or mount or serve ran with --no-peers.\n\n" +
			example("multicore init", "multicore --store ./again init --primary-key ./backup/primary-key"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "primary-key", Usage: "make the store from the primary key in `FILE`, - for stdin", EnvVars: env("primary-key")},
		},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 0, 0); err != nil {
				return err
			}
			o := node.Options{Create: true}
			if file := c.String("primary-key"); file != "" {
				key, err := p.readPrimaryKey(file)
				if err != nil {
					return err
				}
				if corestore.Exists(p.store) {
					return &control.Error{Code: control.Other, Text: p.store + " is a store already, and keeps its primary key"}
				}
				o.PrimaryKey = key
			}
			return p.with(c.Context, o, func(ctx context.Context, s *session) error {
				key, made, err := p.makeOwn(ctx, s)
				if err != nil {
					return err
				}
				if !made {
					p.note("%s has its multicore already", p.store)
				}
				if p.json {
					return p.object(struct {
						MainKey string `json:"main_key"`
						Made    bool   `json:"made"`
					}{key, made})
				}
				return p.mainKey(key)
			})
		},
	}
}

// makeOwn makes the own multicore where there is none, and then says what that
// means.
func (p *program) makeOwn(ctx context.Context, s control.Service) (key string, made bool, err error) {
	key, made, err = s.Init(ctx)
	if made && err == nil {
		p.note(openToAll)
	}
	return key, made, err
}

// readPrimaryKey reads 64 hex digits and a newline.
func (p *program) readPrimaryKey(file string) (*[32]byte, error) {
	in := p.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fileError(file, err)
		}
		defer f.Close()
		in = f
	}
	const digits = 64
	text, err := io.ReadAll(io.LimitReader(in, digits+3))
	if err != nil {
		return nil, err
	}
	for range 2 { // \n, \r\n
		if n := len(text); n > digits && (text[n-1] == '\n' || text[n-1] == '\r') {
			text = text[:n-1]
		}
	}
	var key [32]byte
	if len(text) != digits {
		return nil, usage("%s is not a primary key: want 64 hex digits and a newline", file)
	}
	if _, err := hex.Decode(key[:], text); err != nil {
		return nil, usage("%s is not a primary key: want 64 hex digits and a newline", file)
	}
	return &key, nil
}

// fileError is a file of the user that cannot be read.
func fileError(file string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return &control.Error{Code: control.NotFound, Text: file + ": no such file", Err: err}
	}
	return err
}
