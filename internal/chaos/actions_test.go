package chaos_test

import (
	"context"
	"fmt"
	"strings"
)

// act does one random thing that a client that is logged in may do, or try.
func (c *client) act(ctx context.Context) error {
	switch n := c.dice.IntN(100); {
	case n < 55:
		_, err := c.commands(c.some()...)
		return err
	case n < 70:
		return c.idle(ctx)
	case n < 80:
		return c.upload(ctx)
	case n < 86:
		return c.stall(ctx)
	case n < 92:
		c.send(c.pipelined(c.some()...))
		return c.leave()
	case n < 97:
		_, err := c.commands(
			c.oneOf("XYZZY", "FETCH", "FETCH 1:x FLAGS", "SEARCH OR ALL", `SELECT "`, "NOOP NOOP"),
		)
		return err
	default:
		return c.garbage()
	}
}

// some returns commands to pipeline, usually only one.
func (c *client) some() []string {
	commands := []string{c.command()}
	for c.one(3) {
		commands = append(commands, c.command())
	}
	return commands
}

func (c *client) command() string {
	switch c.dice.IntN(24) {
	case 0, 1:
		return "SELECT " + c.mailbox()
	case 2, 3, 4, 5:
		return "FETCH 1:* FLAGS"
	case 6:
		return "FETCH 1:3 BODY.PEEK[]"
	case 7:
		return "UID FETCH 1:* (FLAGS BODY[])"
	case 8, 9, 10, 11, 12:
		return "UID SEARCH SUBJECT hello" // the same as those of other clients
	case 13, 14:
		return fmt.Sprintf("UID SEARCH LARGER %d", c.dice.IntN(1000))
	case 15:
		return "SEARCH UNSEEN"
	case 16:
		return c.oneOf("COPY ", "UID COPY ") + c.set() + " " + c.mailbox()
	case 17:
		return c.oneOf("MOVE ", "UID MOVE ") + c.set() + " " + c.mailbox()
	case 18:
		return c.oneOf(`LIST "" *`, `LIST "" %`, `LIST "#users/" %`, `LSUB "" *%*a*b*c`)
	case 19:
		return "STATUS " + c.mailbox() + " (MESSAGES)"
	case 20:
		return "STORE " + c.set() + ` +FLAGS (\Deleted)`
	case 21:
		return "EXPUNGE"
	default:
		return "NOOP"
	}
}

func (c *client) mailbox() string {
	return c.oneOf(
		"INBOX", "INBOX", "INBOX", "Work", "Work", `"#users/bob/Work"`, `"#users/bob"`, "Nowhere",
	)
}

func (c *client) set() string { return c.oneOf("1", "2:3", "1:*", "*", "4,2") }

func (c *client) pipelined(commands ...string) string {
	var lines strings.Builder
	for _, command := range commands {
		lines.WriteString(c.tag() + " " + command + "\r\n")
	}
	return lines.String()
}

// idle ends an IDLE with DONE, with something else, or not at all.
func (c *client) idle(ctx context.Context) error {
	tag := c.tag()
	if err := c.send(tag + " IDLE\r\n"); err != nil {
		return err
	}
	if answer, err := c.answer(tag); err != nil || answer != "+" {
		return err
	}
	pause(ctx, c.upTo(4*c.unit))
	switch c.dice.IntN(6) {
	case 0:
		return c.leave()
	case 1: // nothing, until the server closes the connection or the scene is over
		pause(ctx, 20*c.unit)
		return errHungUp
	case 2:
		if err := c.send(c.oneOf("NOOP", "done", "") + "\r\n"); err != nil {
			return err
		}
	case 3:
		if err := c.send("DONE\r\n" + c.pipelined(c.some()...)); err != nil {
			return err
		}
		tag = fmt.Sprintf("t%d", c.tags)
	default:
		if err := c.send("DONE\r\n"); err != nil {
			return err
		}
	}
	_, err := c.answer(tag)
	return err
}

// upload appends a message, or sends only part of it.
func (c *client) upload(ctx context.Context) error {
	tag, message := c.tag(), string(content(200<<c.dice.IntN(8)))
	literal := fmt.Sprintf("{%d}", len(message))
	nonSync := len(message) <= 4096 && c.one(2)
	if nonSync {
		literal = fmt.Sprintf("{%d+}", len(message))
	}
	if err := c.send(tag + " APPEND " + c.mailbox() + " " + literal + "\r\n"); err != nil {
		return err
	}
	if !nonSync {
		if answer, err := c.answer(tag); err != nil || answer != "+" {
			return err
		}
	}
	half := c.dice.IntN(len(message))
	if err := c.send(message[:half]); err != nil {
		return err
	}
	if c.one(5) {
		return c.leave()
	}
	pause(ctx, c.upTo(c.unit))
	if err := c.send(message[half:] + "\r\n"); err != nil {
		return err
	}
	_, err := c.answer(tag)
	return err
}

// stall asks for more than the connection's buffers hold, and does not read for a while.
func (c *client) stall(ctx context.Context) error {
	if _, err := c.commands("SELECT INBOX"); err != nil {
		return err
	}
	tag := c.tag()
	if err := c.send(tag + " FETCH 1:* BODY.PEEK[]\r\n"); err != nil {
		return err
	}
	pause(ctx, c.upTo(10*c.unit))
	if c.one(2) {
		return c.leave()
	}
	_, err := c.answer(tag)
	return err
}

// garbage sends bytes that are not IMAP. Any answer with any tag is allowed.
func (c *client) garbage() error {
	bytes := make([]byte, 1+c.dice.IntN(200))
	for i := range bytes {
		bytes[i] = byte(c.dice.Uint32())
	}
	if err := c.send(string(bytes) + "\r\n"); err != nil {
		return err
	}
	return c.leave()
}
