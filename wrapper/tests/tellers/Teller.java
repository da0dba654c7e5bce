import java.io.BufferedReader;
import java.io.InputStreamReader;

public class Teller {
    public static void main(String[] arguments) throws Exception {
        System.out.println("ready");
        var lines = new BufferedReader(new InputStreamReader(System.in));
        while (lines.readLine() != null) {
            String value = System.getenv("PASSWORD");
            int sum = 0;
            for (int i = 0; i < value.length(); i++) {
                sum = (sum + (i + 1) * value.charAt(i)) % 65521;
            }
            System.out.println(sum);
        }
    }
}
