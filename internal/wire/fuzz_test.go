package wire_test

import (
	"bytes"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// script is a connection whose other side sends input in pieces and keeps what it receives.
type script struct {
	net.Conn
	input  []byte
	split  []byte // sizes of the pieces, used in turn
	turn   int
	output bytes.Buffer
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.input) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.next())], s.input)
	s.input = s.input[n:]
	return n, nil
}

func (s *script) next() int {
	if len(s.split) == 0 {
		return 1 << 20
	}
	s.turn++
	return 1 + int(s.split[s.turn%len(s.split)])
}

func (s *script) Write(p []byte) (int, error) { return s.output.Write(p) }
func (s *script) Close() error                { return nil }

func (s *script) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// once is a listener that accepts one connection.
type once struct {
	net.Listener
	conns chan net.Conn
}

func newOnce(conn net.Conn) once {
	conns := make(chan net.Conn, 1)
	conns <- conn
	close(conns)
	return once{conns: conns}
}

func (o once) Accept() (net.Conn, error) {
	if conn, ok := <-o.conns; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func filtered(t *testing.T, s *script) net.Conn {
	conn, err := newListener(newOnce(s)).Accept()
	require.NoError(t, err)
	return conn
}

// latin makes a rune of each byte, so that the regular expressions below match bytes. bytesOf
// reverses it.
func latin(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

func bytesOf(s string) string {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

const refused = "NOOP \"refused by imapgate\"\r\n"

var (
	commandHead  = regexp.MustCompile(`^([^ \n]*)(?: ([^\x00- (){%*"\\\]\x7f-\x{9f}]{0,16}))?`)
	idleName     = regexp.MustCompile(`^(?:[Ii]|\x{c4}\x{b1})[Dd][Ll][Ee]$`)
	appendBefore = regexp.MustCompile(`(?s)^[^ \n]* (?i:append).$`)
	token        = regexp.MustCompile(
		`(?s)^(?:"(?:[^"\\]|\\.)*(?:"|\\?$)|\{([0-9]+)[+-]?\} ?\r?\n|\r?\n|.)`,
	)
)

// requestsModel computes from the whole input what reaches a server that never answers and is
// logged in. whole is false if that is only the beginning: the model does not know how the rest of
// a refused command is dropped.
func requestsModel(input string) (_ string, whole bool) {
	in, out := latin(input), ""
	for in != "" {
		head := commandHead.FindStringSubmatch(in)
		in = in[len(head[0]):]
		named := strings.Contains(head[0], " ")
		tag, cr := strings.CutSuffix(head[1], "\r")
		switch {
		case named && idleName.MatchString(head[2]):
			out += noCR(head[1]) + " " + refused
			end := strings.IndexByte(in, '\n') + 1
			if strings.Contains(in[:end], "+}") {
				return bytesOf(out), false
			}
			in = in[end:]
			continue
		case named:
			out += noCR(head[0])
		case strings.EqualFold(tag, "done"):
			out += tag + " " + refused
			in = in[1:]
			continue
		case cr:
			out += noCR(tag) + "\r"
		default:
			out += noCR(tag)
		}
		isAppend := named && strings.EqualFold(head[2], "append")
		message := false
		for before := head[0]; in != ""; {
			m := token.FindStringSubmatch(in)
			if !named {
				m = []string{"\n", ""}
			}
			in = in[len(m[0]):]
			out += noCR(m[0])
			before += m[0]
			if message && strings.Contains(m[0], "+}") {
				return bytesOf(out), false
			}
			if m[1] == "" || message {
				if strings.TrimPrefix(m[0], "\r") == "\n" || m[1] != "" {
					break
				}
				continue
			}
			size, err := strconv.Atoi(m[1])
			if err != nil {
				size = 1 << 30
			}
			if isAppend && !appendBefore.MatchString(strings.TrimSuffix(before, m[0])) {
				message = true
			} else if size > 4096 {
				return bytesOf(strings.TrimRight(out, "\r\n")) + `"""` + "\r\n", false
			}
			runes := []rune(in)
			literal := string(runes[:min(size, len(runes))])
			in = in[len(literal):]
			out += literal
		}
	}
	return bytesOf(out), true
}

// noCR replaces each CR that is not followed by LF.
func noCR(s string) string {
	return strings.ReplaceAll(
		strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\x00\n"), "\r", "\x1a"), "\x00\n", "\r\n",
	)
}

func FuzzRequests(f *testing.F) {
	for _, input := range []string{
		"a NOOP\r\nb IDLE\r\nc idle x\r\nDONE\r\nd \xc4\xb1dle\n",
		"a LOGIN {6+}\r\nb IDLE \"c IDLE\\\" {3}\r\nd IDLE\" \r\ne IDLE\r\n",
		"a APPEND {1}\r\nx (\\Seen) ~{8+} \nx IDLE\r\n\r\nb IDLE\r\n",
		"a APPEND x {3}\r\nabcJ {8+}\r\nb IDLE\r\n",
		"a CREATE {5000+}\r\nx\r\nb IDLE\r\n", "a CREATE \xfb \xfc\xfd", "a APPEND \xfd \xfd\r\n",
		"a NOOP \xf6IDLE\r\n",
		"a LIST \"\" \"%\"\r\nb IDLE\r\nc STORE 1 FLAGS (\\Seen)\r\nd UID IDLE\r\n",
		"a CREATE \"\\\"\r\nb IDLE\r\n\"\r\nc IDLE\r\n", "a CREATE {3+}\r\nabc x\r\nb IDLE\r\n",
		"a CREATE \"{8+}\r\nb IDLE\r\n\"\r\nc IDLE\r\n", "a CREATE \"x\"\"\r\nb IDLE\r\n",
		"a NOOP \r\"\r\r\nb IDLE\r", "done\r\n", " IDLE\r\n", "a IDLE", "DONE\re\n", " \n\n\rD\r\n\r\x16",
	} {
		f.Add([]byte(input), []byte{})
		f.Add([]byte(input), []byte{0})
		f.Add([]byte(input), []byte{2, 0, 30})
	}
	f.Fuzz(func(t *testing.T, input, split []byte) {
		if len(input) > 1<<12 || bytes.IndexByte(input, 0) >= 0 || bytes.HasPrefix(input, []byte{0x16}) ||
			bytes.IndexByte(input, fillCommand) >= 0 {
			// The model needs a byte of its own, no client sends TLS here, and a server that never answers
			// never gives up.
			return
		}
		input = append(expand(input), "\r\n"...) // so that nothing is held back at the end of the input
		if len(input) > 50000 {
			return // longer than go-imap allows a command to be
		}
		want, whole := requestsModel(string(input))
		conn := filtered(t, &script{input: input, split: split})
		_, err := conn.Write([]byte("* PREAUTH ready\r\n"))
		require.NoError(t, err)
		var got []byte
		size := &script{split: split}
		for {
			buf := make([]byte, size.next())
			n, err := conn.Read(buf)
			got = append(got, buf[:n]...)
			if err != nil {
				break
			}
		}
		if !whole {
			got = got[:min(len(want), len(got))]
		}
		assert.Equal(t, want, string(got))
	})
}

var (
	responseHead = regexp.MustCompile(`^([^ \n]*) ([^ \r\n]{0,16})`)
	statusWord   = regexp.MustCompile(`^(?i:OK|NO|BAD|BYE|PREAUTH)$`)
	codeList     = regexp.MustCompile(`^[ \r]\[(?i:CAPABILITY) ([^\]\r\n]*)`)
	bareList     = regexp.MustCompile(`^ ([^\r\n]*)`)
	wholeLine    = regexp.MustCompile(`^[^\n]*(?:\n|$)`)
	announced    = regexp.MustCompile(`\{([0-9]+)[+-]?\} ?\r?\n$`)
)

// responsesModel computes from the whole output of the server what the client gets.
func responsesModel(input string) string {
	in, out := latin(input), ""
	cut := func(n int) {
		out += in[:n]
		in = in[n:]
	}
	for ; in != ""; cut(len(wholeLine.FindString(in))) {
		head := responseHead.FindStringSubmatch(in)
		if head == nil {
			continue
		}
		cut(len(head[0]))
		status := statusWord.MatchString(head[2])
		list := codeList
		switch {
		case head[1] == "+" && !status:
			continue
		case head[1] == "*" && strings.EqualFold(head[2], "capability"):
			list = bareList
		case head[1] == "*" && !status:
			if strings.EqualFold(head[2], "enabled") && strings.HasPrefix(in, " ") {
				continue
			}
			for {
				line := wholeLine.FindString(in)
				m := announced.FindStringSubmatch(line)
				if m == nil {
					break
				}
				cut(len(line))
				size, err := strconv.Atoi(m[1])
				if err != nil {
					size = 1 << 30
				}
				runes := []rune(in)
				cut(len(string(runes[:min(size, len(runes))])))
			}
			continue
		}
		if m := list.FindStringSubmatch(in); m != nil {
			cut(len(m[0]) - len(m[1]))
			in = in[len(m[1]):]
			var caps []string
			for c := range strings.SplitSeq(m[1], " ") {
				if !strings.EqualFold(c, "IDLE") {
					caps = append(caps, c)
				}
			}
			out += strings.Join(caps, " ")
		}
	}
	return bytesOf(out)
}

func FuzzResponses(f *testing.F) {
	for _, input := range []string{
		"* OK [CAPABILITY IMAP4rev1 IDLE] ready IDLE\r\n* CAPABILITY idle X IDLE\r\n" +
			"a OK [CAPABILITY IDLE] x\r\n",
		"* 1 FETCH (BODY[] {24}\r\n* CAPABILITY IDLE IDLE\r\n FLAGS ())\r\n" +
			"* LIST () \"/\" \"a IDLE\"\r\n* CAPABILITY IDLE\r\n",
		"* OK text {5}\r\n* CAPABILITY IDLE\r\n", "+ IDLE {3}\r\n+ OK [CAPABILITY IDLE]\r\n",
		"* ENABLED IDLE\r\n",
		"* {3}\r\nabc {0}\r\n {2+} \nab\r\n", "*\r\n* \r\n* CAPABILITY\r\na\r\n\r\n",
	} {
		f.Add([]byte(input), []byte{0})
		f.Add([]byte(input), []byte{2, 0, 30})
	}
	f.Fuzz(func(t *testing.T, input, split []byte) {
		if bytes.Contains(input, []byte("STARTTLS")) || bytes.Contains(input, []byte("+ idling")) ||
			len(input) > 1<<12 {
			return
		}
		input = append(input, "\r\n"...)
		want := responsesModel(string(input))
		s := &script{split: split}
		conn := filtered(t, s)
		for rest := input; len(rest) > 0; {
			n := min(s.next(), len(rest))
			written, err := conn.Write(rest[:n])
			require.NoError(t, err)
			require.Equal(t, n, written)
			rest = rest[n:]
		}
		if r := strings.LastIndexByte(want, '\n'); !strings.HasSuffix(
			want, "\n",
		) { // output is complete only up to the last line end
			want = want[:r+1]
			got := s.output.String()
			assert.True(t, strings.HasPrefix(got, want), "%q does not begin with %q", got, want)
			return
		}
		assert.Equal(t, want, s.output.String())
	})
}
