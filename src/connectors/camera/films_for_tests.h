// connectors/camera/films_for_tests.h -- two tiny films and their packets; tests only.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace verge::connectors {

/// H.264 (Annex B), 64 x 48, two groups of ten pictures, all grey but for pictures 14 to 18, over which a textured
/// block moves. Made with ffmpeg 5.1 and x264, without B pictures.
inline std::string plain_film() {
  return *from_base64(
      "AAAAAWdkAAqstCPYCIAAAAMAgAAACgeJE1AAAAABaO4yyLAAAAFliIQP//73APUJcdi4r0Xf3kQNfycSTQAAAAFBmiIf//6e/IAAAAABQZpCH//+"
      "nvyBAAAAAUGaYh///p78gAAAAAFBmoIf//6e/IEAAAABQZqiH//+nvyBAAAAAUGawh///p78gQAAAAFBmuIf//6e/IEAAAABQZsCH//+nvyAAAAA"
      "AUGbIh///p78gAAAAAFnZAAKrLQj2AiAAAADAIAAAAoHiRNQAAAAAWjuMsiwAAABZYiCAR/+91v5irklXvajZ0FbFOXKm3cAAAABQZoiH//+nvyA"
      "AAAAAUGaQh3//o3DAAAAAUGaYhv//jpTAAAAAUGagiv//iiS8Y8LKBzdtoKEZoGjbOdf6+bgAFk8Qhk8UcUC2D39pd6xAo+UuMUndpMWqFkm7fHc"
      "BF1FaVQCarba/TD+3uRdvtwNXezE5YRPKTkPmWl18lXnohqc00J8vecOw6Rh5uoSfastEq7Ds9Qi9pC1O2EmcYcbGWJu4y1UXS/p1D9yaFlJtIMX"
      "zpjvVfbDf4igKrqg97bNhSq0iWRa/dCJU9Eoz8tFm0kLSu6IrvE4UnNCvxu52jU16LcMO36V//p6Qjwdt/+h9MJWnGvmEZe/h9DAijRSL/5K1raB"
      "kQgTXbY3xGN+A5gAC0WK1EZ/HOqzdZNPPBzjHQPwT6Z5PXUBuRzbg1h70hzgtRnRjm8DGF84ussUrEOK1FUtN4GRAAAAAUGaoiP/0MDXTpsvQJsy"
      "5frWNw43O9+0R9QhJ2EVA0PNFRJDlCsovikzQBZSfl1X/6Lf38eOyBjjJ2o8dXOh5y8XMLgkyOKBpMMhxMhOtFwyfce1bO/UszSNGGYr0PdV5SJJ"
      "qsry77cVCTcYayxhdbDbeM0giSvTi1DzQ2QbhA+mvmAjFmi9kNgZjTwfQGiiBToTwWxAqX+YGFAcnpfoZEm81Kx1Lc5MA+ap62vLESdgssPQIEVi"
      "O9P2/Gv/ZceaYBulC25KwbYhbZZtANejptD5hZhNZFI3brxVZVsR15koWGFihB3Jn7aTDhF7KSMUPWsSSaOtBzhf0OE1t456ViZmi2MIbYC6QfWy"
      "vT96+QoTKD0Vz0JiW91623W2n5nDuzaMC3uNxRn7YOl59h3LwMPXJVvWFlNUpyo0O/kAAAABQZrCb8rgWdqoBUMtS42lD83BGDX9bw8lXzutiShd"
      "OVWOgQaCcQxBspygianZEv7wttZzoj/4iw9j2FaoWXglfBiP17xCNJm+eTVe0WE++ounN0LXF/K7nzIpk+ocXEuAa+CcV4QEL7jUFi6KzzCGm8G5"
      "K3sTX/Movi3HxrLlArWg/smFm4E5bcdGfssAqXKStXtQ9OlcGnAK+VsKWr6fGEyRu49BFG0VKbIgZxM1Z4Xo8YK2Yq5DjzVT0YBrb2uGFI8WrrPx"
      "YKXlr/2SS7RzBmnlAzPaCiD1j6CssQVc+DxYoBhs5qxZzP4RclmaO+Z0QUgFuQynTFfL4tu/bckCIvaF3sO8i9yTawO99sVR/TWr1Ne7Ta9FBV99"
      "EF7E8CwFmuepu/cUXXJakHN1aJsAia30MkGiLitUkK1Jg+Dyxq6G1FYqa5P/XgAAAAFBmuIb/7569XGoAcWfJOZy2hr1C5tOG8SnDJQ9tNaNYNC7"
      "nUNW4nKPGaWXqsPrXaDZut2Ffs/CRfKWJ5STJoyQTEkRQBuTd6ONB0bfgZPrWjvrLIB7pUpg3E92ULUqr+jkTikIrrl8GGL5UuiF5uBJnK4j/VFV"
      "6Na5FpKN7NJtr7SNXvj0f9Ay0rsZSYpo5Iy3OggvtwysKbuzmC/Sa2HbIxrOElYEehEfQG/7Y+5DqGydwHSNFyWWMg6YgZCzfj3pSBd2Yk6PNvsU"
      "1UsvrxGw302MiHWgX5qgPcLyHCWQDH9jxDOO7mU1iiw2WRSYWmPzw60sJ4gXeAAAAAFBmwIb/9oaRL0FgCIcYctlg39Nx1q0RJIelmLVEaWoYWjT"
      "18LQXA80GaLfttLIsvzhkVKyfXwCzX/9kdmixxahGWck5KSsb2xEyuLkImM02vvxbMT6GJV7exBDCIWe9WbtXy1CWUTMzPE4DaL0uML39KCr3ujW"
      "jlfoiAxor2nifkVE/t4hOww3odHBAymzb5YPJq4bb/05wpVp5RHvMXXxNShb4aOKbamzg0FCz8wg2VXecHIQSNYHlHSnsvG98w1zzXETMAXaOQCS"
      "VV5QBuaJ1RfcxCr+LxZLGqteKufPnUDEkzx3fc1hzM9L8tadZYLLqrgh7wXddqd23tARZIE18gRanN57vGJ90edmDiXJAAAAAUGbIhv/657LJuew"
      "VH7I5uVwoDA=");
}

/// The same with B pictures: I P B P B P B P B P.
inline std::string b_picture_film() {
  return *from_base64(
      "AAAAAWdkAAqs7EewEQAAAwABAAADABQPEiU4AAAAAWjussiwAAABZYiEAEP//vcE9Qlx4b0M1YAAqu1wuHknAAAAAUGaKCCH//6n7kAAAAABAZ5E"
      "EN8UsQAAAAFBmlAgh//+p+5AAAAAAQGebBDfFLEAAAABQZp4IIf//qfuQQAAAAEBnpQQ3xSxAAAAAUGagCCH//6n7kEAAAABAZ68EN8UsAAAAAFB"
      "mqQhv/46UgAAAAFnZAAKrOxHsBEAAAMAAQAAAwAUDxIlOAAAAAFo7rLIsAAAAWWIggAS//73cnqgOk8ve4avoK+KouWy28EAAAABQZooId/+jcMA"
      "AAABAZ5EEN8UsAAAAAFBmlAiv/4okvGPCygc3baChGaBo2znX+vm4ABZPEIZPFHFAtg9/aXesQKPlLjFJ3aTFqhZJu3x3ARdRWlUAmq22v0w/t7k"
      "Xb7cDV3sxOWETyk5D5lpdfJV56IanNNCfL3nDsOkYebqEn2rLRKuw7PUIvaQtTthJnGHGxlibuMtVF0v6dQ/cmhZSbSDF86Y71X2w3+IoCq6oPe2"
      "zYUqtIlkWv3QiVPRKM/LRZtJC0ruiK7xOFJzQr8budo1Nei3DDt+lf/6ekI8Hbf/ofTCVpxr5hGXv4fQwIo0Ui/+Sta2gZEIE122N8RjfgOYAAtF"
      "itRGfxzqs3WTTzwc4x0D8E+meT11Abkc24NYe9Ic4LUZ0Y5vAxhfOLrLFKxDitRVLTeBkQAAAAEBnmwQ3/XYUt9HgE7ztGEAAAABQZp4Jv/K9XJ2"
      "qgFQy1I5IiWJYYNf1vDyVfO62JKF05VY6A3o39cLzhbhWzjqYTxk7OozjFP7k41kJXGkLQHw4+L/mpKBgi3KMFIOB21Cyzs/xAUHKSzuUWnUoGA6"
      "CQTZL3xVbT81BXQz3o8PGjeXSnBA0N5YqJoklJ5o7eejWVqvzQGqgU8aIOqG4oUtxHa6LGw0CY+yUW9dcToCV1TOKR9hHelckqPvib2xos59+ZGk"
      "VbRi4MJ+iibBfnhltp+G+zvu9RUpAbh3gQZAUDAyvJw0i4L9CWZ3nlL4rUKrg9uXLktwRSJlZez/dzsADNeIjYTjXsle0f3ptRDtHEKnI0GuB2oe"
      "UM86rwO9Ud0FFLyL3XYv+VUnrs5bTPfAUxT6RkeTOEPbew+cLK5BJwvBSuk13QYm1ALJEY60rgrPiVhJdrkcgK8AAAABAZ6VER/2lbdF02XoE2Zc"
      "v1rG4cbne/aI+oQk7CKgaHMTT3mEcP3jbBIqOS3Q8Is4UREgspi/327DTp6mEuAwptnCaAolWzvBGpQcSinHBDRlEPfJKM9nuolWu2zlGiOlE60h"
      "79bY9mdil/nxI0SNCTrsFd0L0Tpw6qEWPDQVX4ADnUZb46nKhNHwio7k0BjlZTGGxlit5MXichMvo2d28fmyLDF/EsRGJ3CeHKhYSYp6qGgRmte+"
      "OztfRTAinIkdZ4j5D1h0PyQmUk2n5yjW/jfdNXdfPc2+ONpNca4QicjQh4nTaMZ5PfkmVXjhh1XGk4Qpnwdg4tIpSG5b0JXITdwxdLZxlNYKtfMr"
      "Ge1GLaTn3ATUFQXqlBCZqZySd2NdQ/7pHBWV60NTQSqF8bnvVH/pAAdvFAAAAAFBmoAhv7564mkS9BoAi/Z6a2VkoZP2x+1MAj3LNGPi3latIm/W"
      "o+CY2+wE47fA9+CF0Qxe7Q77mfdIRD5Xp3AQ9Ezez9VhGrTq7c0NwkEddpD90CWGUUB2DJ+J++v6jo2/9oAKScrNKRgsLDXekTSdQi1FhgLJL6DA"
      "ERSW1c7ijK8YdyNG/64fyIFvY5yTK/Tht5Wb4OqgY1sdqj8JOBE+O5CEcDr7HIDUSASaQVkyi2+WFErEZMRr/y0K5JUkotZaM/MlB34E8ZYb/1u1"
      "je4HpTRJ2YNsBAAAAAEBnr0Q3/KLLtmEALXVEQg5bQ16hc2nDeJa161CgMmowUjHu3QaJmVSqfYDaojSRhyorrtrDaTPgZ2VBxg8IdpK99pTLIE1"
      "Zq72E+NI42d7fNDGgu5tPIIe0n5lQk3mNUzsSqGDDrq6p5xFq97w5yQ/qq7hmx5ZcIKCakGuB6S0qExwNw1QKeXe15551f8tc6a10aMngH2t5NcB"
      "bVJz6x10uX4LM/KWXckVhe4UriwvWVP9PTMXzwPW+Wd1c+B102SV5rFtmplrPqsaOJcLli5XVdjpOg27NfLPVbKO4UnIq+Odx6PGRqJl3En3AAAA"
      "AUGapCG/657LJuewVH7I5uVwoDA=");
}

struct FilmPacket {
  std::string bytes;
  bool is_key = false;
  int place = 0;  ///< In the order in which pictures are shown.
};

/// The pictures of one of the films above, in the order in which they are sent.
inline std::vector<FilmPacket> packets_of(std::string_view film, bool has_b_pictures) {
  constexpr std::string_view kStart("\0\0\1", 3);  // A zero more before it belongs to nothing.
  constexpr int kGroup = 10;
  std::vector<FilmPacket> packets;
  std::string waiting;  // Parameter sets go with the picture that follows.
  bool is_key = false;
  for (std::size_t at = film.find(kStart); at < film.size();) {
    const std::size_t end = std::min(film.find(kStart, at + kStart.size()), film.size());
    const std::string_view unit = film.substr(at, end - at);
    const int kind = unit[kStart.size()] & 31;
    waiting += unit;
    is_key = is_key || kind == 5;
    if (kind == 1 || kind == 5) {
      const int index = static_cast<int>(packets.size());
      const int in_group = index % kGroup;
      const bool is_moved = has_b_pictures && in_group != 0 && in_group != kGroup - 1;
      packets.push_back(
          {std::exchange(waiting, {}), std::exchange(is_key, false), index + (is_moved ? in_group % 2 * 2 - 1 : 0)});
    }
    at = end;
  }
  return packets;
}

}  // namespace verge::connectors
